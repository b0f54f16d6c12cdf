"""Checks a local root and the files below it, without changing anything."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from gateway.api import Finding, Rejected, Use, is_template, peek
from gateway_file.append import read_header
from gateway_file.content import KEY_COLUMN
from gateway_file.names import safe_path
from gateway_file.options import FileFormat, FileOptions
from gateway_file.review import column_names


def check_root(root: Path) -> list[Finding]:
    """Find out whether the root is a folder that we may write to."""
    if not root.is_dir():
        found = f"{root} is not there" if not root.exists() else f"{root} is no folder"
        return [Finding(where="root", found=found, remedy="Make the folder, mount what belongs there, or mend `root`")]
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        remedy = "Let the user that the gateway runs as write there"
        return [Finding(where="root", found=f"{root} may not be written to", remedy=remedy)]
    return []


def check_headers(root: Path, uses: Iterable[Use[FileOptions]]) -> Sequence[Finding]:
    """Find csv files whose header differs from the columns, and deliveries with different columns in one file."""
    findings: list[Finding] = []
    headers: dict[Path, tuple[str, ...]] = {}
    for use in uses:
        path = _csv_path(root, use.options)
        if path is None:
            continue
        header = headers.get(path) or _header_of(path)
        columns = (*column_names(use.options), KEY_COLUMN)
        headers[path] = header or columns
        if header is not None and header != columns:
            findings.append(
                Finding(
                    where="columns",
                    use=use,
                    found=f"{path} has the columns {', '.join(header)}, the delivery writes {', '.join(columns)}",
                    remedy="Move the file away, or give the delivery another filename",
                )
            )
    return findings


def _csv_path(root: Path, options: FileOptions) -> Path | None:
    if options.format is not FileFormat.CSV or is_template(options.filename) or not column_names(options):
        return None
    try:
        return root / safe_path(str(peek(options.filename)))
    except Rejected:
        return None


def _header_of(path: Path) -> tuple[str, ...] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return read_header(descriptor)
    finally:
        os.close(descriptor)
