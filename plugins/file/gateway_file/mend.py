"""Mending a file that a crash left with half an addition.

Before rows are added, where they begin and what they are is noted in the lock file. Whoever adds next finds the note:
if the file ends with a part of those rows, that part is cut off, and the delivery that wrote it comes again.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os

from gateway_file.folders import write_all
from gateway_file.options import FileFormat

_NUL = b"\0"


def note_addition(lock: int, offset: int, data: bytes) -> None:
    """Note in the lock file what is going to be added."""
    os.ftruncate(lock, 0)
    head = {"offset": offset, "length": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    write_all(lock, json.dumps(head).encode() + b"\n" + data)


def mend(descriptor: int, lock: int, format: FileFormat, *, columns: int) -> int:
    """Cut off what a crash left at the end of the file; return how many bytes. ``columns`` is what a csv row has."""
    size = os.fstat(descriptor).st_size
    whole = _whole_size(descriptor, size, _noted(lock))
    if whole == size and size and _read(descriptor, size - 1, 1) != b"\n":
        # No note of ours: another program wrote the end, or the lock file was deleted.
        start = _last_line(descriptor, size)
        if _is_complete(_read(descriptor, start, size - start), format, columns):
            write_all(descriptor, b"\n", at=size)
            return 0
        whole = start
    if whole < size:
        os.ftruncate(descriptor, whole)
        os.fsync(descriptor)
    return size - whole


def _noted(lock: int) -> tuple[int, bytes] | None:
    """Return offset and data of the last addition; None where nothing readable is noted."""
    head, _, data = _read(lock, 0, os.fstat(lock).st_size).partition(b"\n")
    try:
        noted = json.loads(head)
        known = noted["sha256"] == hashlib.sha256(data).hexdigest()
        return (int(noted["offset"]), data) if known else None
    except (ValueError, KeyError, TypeError):
        return None  # the crash came while the note was written: nothing was added after it


def _whole_size(descriptor: int, size: int, noted: tuple[int, bytes] | None) -> int:
    if noted is None:
        return size
    offset, data = noted
    if not offset < size <= offset + len(data):
        return size
    tail = _read(descriptor, offset, size - offset)
    # After a power cut the file can have its new length, but zeros in place of the data.
    torn = tail != data and data.startswith(tail.rstrip(_NUL))
    return offset if torn else size


def _is_complete(line: bytes, format: FileFormat, columns: int) -> bool:
    """Tell whether a last line without its line end is otherwise whole."""
    try:
        text = line.decode("utf-8")
        if format is FileFormat.JSONL:
            return isinstance(json.loads(text), dict)
        [row] = csv.reader([text], strict=True)
    except (ValueError, csv.Error):
        return False
    return len(row) == columns


def _last_line(descriptor: int, size: int) -> int:
    """Return where the last line of the file begins."""
    block, position = 65536, size
    while position > 0:
        start = max(position - block, 0)
        found = _read(descriptor, start, position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _read(descriptor: int, offset: int, length: int) -> bytes:
    parts = []
    while length > 0 and (part := os.pread(descriptor, length, offset)):
        parts.append(part)
        offset, length = offset + len(part), length - len(part)
    return b"".join(parts)
