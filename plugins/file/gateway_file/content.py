"""What is written: the bytes of a whole file, or of the rows to add to one."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from gateway.api import Delivery, Rejected, to_json, whole_object
from gateway_file.formulas import harmless
from gateway_file.options import Encoding, FileFormat, FileOptions, Formulas

KEY_COLUMN = "delivery_key"
"""The last column of each row that is added; tells a repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows to add to a file."""

    key: str
    data: bytes
    """The rows, each with a line end; empty if there are none."""
    header: bytes = b""
    """The line that a csv file starts with."""
    columns: tuple[str, ...] = ()
    """The names in the header."""


def file_bytes(delivery: Delivery[FileOptions]) -> bytes:
    """Return the content of a whole file.

    Raises:
        Rejected: there is no text to write.
    """
    options = delivery.options
    if options.format is FileFormat.TEXT:
        if options.text is None:
            raise Rejected("text: there is no text to write")
        return options.text.encode(options.encoding.value, "replace")
    if options.columns is None:
        document: Any = whole_object(delivery)
    elif options.rows is None and len(options.columns) == 1:
        document = options.columns[0]
    else:
        document = options.columns
    return (to_json(document, indent=2) + "\n").encode()


def rows_to_add(delivery: Delivery[FileOptions]) -> Rows:
    """Return the rows of a delivery, as jsonl or csv.

    Raises:
        Rejected: a csv without columns.
    """
    options = delivery.options
    if options.format is FileFormat.CSV:
        return _csv_rows(delivery.key, options)
    objects = [whole_object(delivery)] if options.columns is None else options.columns
    lines = [to_json({**each, KEY_COLUMN: delivery.key}) + "\n" for each in objects]
    return Rows(key=delivery.key, data="".join(lines).encode())


def _csv_rows(key: str, options: FileOptions) -> Rows:
    rows = options.columns
    if rows is None:
        raise Rejected("columns: a csv file needs columns")
    if not rows:
        return Rows(key=key, data=b"")
    columns = (*rows[0], KEY_COLUMN)
    data = _csv_lines([[*(cell(value, options.formulas) for value in row.values()), key] for row in rows])
    mark = codecs.BOM_UTF8 if options.encoding is Encoding.UTF8_SIG else b""
    return Rows(key=key, data=data, header=mark + _csv_lines([columns]), columns=columns)


def _csv_lines(rows: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode("utf-8", "replace")


def cell(value: Any, formulas: Formulas = Formulas.ESCAPE) -> str:
    """Write a value into a cell; text that a spreadsheet could take for a formula gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    text = value if isinstance(value, str) else to_json(value)
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")  # a lone CR would end the row
    return text if formulas is Formulas.KEEP or isinstance(value, (int, float, Decimal)) else harmless(text)
