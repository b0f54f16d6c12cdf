"""Reviews a delivery's options before there is anything to write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gateway.api import Finding, Rejected, is_template, peek
from gateway_file.content import KEY_COLUMN
from gateway_file.names import safe_path
from gateway_file.options import FileFormat, FileOptions


def review(options: FileOptions, *, local: bool) -> Iterator[Finding]:
    """Yield what does not fit together in (unrendered) options."""
    yield from _filename(options)
    if options.format.appends:
        yield from _appending(options, local=local)
    if options.format is FileFormat.TEXT:
        yield from _text(options)
    elif options.text is not None:
        yield Finding(
            where="text",
            found=f'`text` is given, but the format is "{options.format.value}"',
            remedy='Write format = "text", or take `text` out',
        )
    yield from _only_for(options, "formulas", FileFormat.CSV)
    yield from _only_for(options, "encoding", FileFormat.CSV, FileFormat.TEXT)
    if options.rows is not None and options.columns is None and options.format is not FileFormat.TEXT:
        yield Finding(
            where="rows", found="`rows` is given without `columns`", remedy="Say in `columns` what each row has"
        )


def _only_for(options: FileOptions, name: str, *formats: FileFormat) -> Iterator[Finding]:
    if name in options.model_fields_set and options.format not in formats:
        kinds = " and ".join(f'"{one.value}"' for one in formats)
        yield Finding(
            where=name,
            found=f'`{name}` is for {kinds}, and the format is "{options.format.value}"',
            remedy=f"Take `{name}` out",
        )


def _filename(options: FileOptions) -> Iterator[Finding]:
    if is_template(options.filename):
        return
    try:
        path = safe_path(str(peek(options.filename)))
    except Rejected as error:
        yield Finding(
            where="filename", found=str(error), remedy="Write a path below the root, such as reports/today.json"
        )
        return
    if not options.format.appends and options.exists.value == "replace":
        yield Finding(
            where="filename",
            found=f"every delivery writes the same file {path}, and each replaces the last",
            remedy='Put {{ record.key }} into the name if that is not meant, or write exists = "number"',
            error=False,
        )


def _appending(options: FileOptions, *, local: bool) -> Iterator[Finding]:
    kind = options.format.value
    if not local:
        yield Finding(
            where="format",
            found=f'"{kind}" adds to a file, which works in a folder of this machine only',
            remedy='Write format = "json" or "text" for this destination, or use a local root',
        )
    if "exists" in options.model_fields_set:
        yield Finding(
            where="exists",
            found=f'`exists` means nothing for "{kind}", which adds to the file',
            remedy="Take `exists` out",
        )
    if options.format is FileFormat.CSV and options.columns is None:
        yield Finding(where="columns", found="a csv file needs columns", remedy="Name the columns and their values")
    if KEY_COLUMN in column_names(options):
        yield Finding(
            where=f"columns.{KEY_COLUMN}",
            found=f"`{KEY_COLUMN}` is the name of the column that is added to each row by itself",
            remedy="Take it out, or name it otherwise",
        )


def _text(options: FileOptions) -> Iterator[Finding]:
    if options.text is None:
        yield Finding(where="text", found='format = "text" needs `text`', remedy="Give the text to write")
    for name, value in (("columns", options.columns), ("rows", options.rows)):
        if value is not None:
            yield Finding(
                where=name,
                found=f'`{name}` is given, but the format is "text"',
                remedy='Take it out, or write format = "json", "jsonl" or "csv"',
            )


def column_names(options: FileOptions) -> tuple[str, ...]:
    """Return the names of the columns in (unrendered) options."""
    literal: Any = peek(options.columns)
    if isinstance(literal, Sequence) and not isinstance(literal, str) and literal:
        literal = literal[0]
    return tuple(literal) if isinstance(literal, dict) else ()
