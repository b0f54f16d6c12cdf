"""Adding rows to a file: under its lock, once for each delivery key, whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.api import DeliveryError, Logger, Misconfigured, Uncertain
from gateway_file.content import Rows
from gateway_file.failures import meaning
from gateway_file.folders import folder_for, stay_inside, sync_folder, write_all
from gateway_file.index import Index
from gateway_file.lock import locked
from gateway_file.options import FileFormat
from gateway_file.repair import mend, note_addition, note_end


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the rows: where they begin, or that they were there already."""

    offset: int | None
    data: bytes = b""


def append(
    root: Path, relative: str, rows: Rows, format: FileFormat, *, index: Index, log: Logger, seconds: float
) -> Added:
    """Add rows to a file, unless rows of their delivery key are there.

    Raises:
        Rejected, Unavailable: nothing was added.
        Misconfigured: nothing was added; the header has other columns, or the file may not be written.
        Uncertain: some of it may have been added.
    """
    path = root / relative
    try:
        folder = folder_for(root, relative)
        stay_inside(root, path)
        with locked(path, seconds=seconds) as lock, _opened(path) as descriptor:
            new_here = os.fstat(lock).st_size == 0
            cut = mend(descriptor, lock)
            if cut:
                log.warning("cut off rows that an addition cut short had left unfinished", path=str(path), bytes=cut)
            if rows.key in index.keys(path, descriptor, format):
                return Added(None)
            data = _with_header(path, descriptor, rows)
            offset = os.fstat(descriptor).st_size
            if offset == 0 or new_here:
                sync_folder(folder)  # the names of new files must last as long as what is in them
            _add(descriptor, lock, offset, data, path)
            index.added(path, descriptor, rows.key)
            return Added(offset, data)
    except OSError as error:
        raise meaning(error, str(path)) from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _with_header(path: Path, descriptor: int, rows: Rows) -> bytes:
    found = read_header(descriptor) if rows.columns else None
    if found is None:
        return rows.header + rows.data
    if found != rows.columns:
        raise Misconfigured(
            f"{path} has the columns {', '.join(found)}, but this delivery writes {', '.join(rows.columns)}. "
            "Move the file away, or give the delivery another filename"
        )
    return rows.data


def read_header(descriptor: int) -> tuple[str, ...] | None:
    """Return the names in the first row of a csv file; None if the file is empty."""
    raw = io.FileIO(os.dup(descriptor), "rb")
    raw.seek(0)
    with io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8-sig", errors="replace", newline="") as lines:
        row = next(csv.reader(lines), None)
    return None if row is None else tuple(row)


def _add(descriptor: int, lock: int, offset: int, data: bytes, path: Path) -> None:
    note_addition(lock, offset, data)
    try:
        write_all(descriptor, data, at=offset)
    except OSError as error:
        raise _taken_back(descriptor, lock, offset, error, path) from error
    note_end(lock)


def _taken_back(descriptor: int, lock: int, offset: int, error: OSError, path: Path) -> DeliveryError:
    try:
        os.ftruncate(descriptor, offset)
        os.fsync(descriptor)
        note_end(lock)
    except OSError:
        return Uncertain(f"{path}: adding rows failed half-way ({error.strerror}), and taking them back failed too")
    return meaning(error, str(path))
