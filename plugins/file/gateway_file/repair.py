"""Mending a file that a crash left with half an addition.

Before rows are added, where they begin and what they are is noted in the lock file; the note is taken back once they
are all there. So a note that is found tells of an addition that did not end: if the file ends with a part of its rows,
that part is cut off, and the delivery that wrote it comes again. Without a note whatever the file ends with belongs to
others: nothing of it is taken away.
"""

from __future__ import annotations

import hashlib
import json
import os

from gateway_file.folders import write_all

_NUL = b"\0"
_LINE_END = b"\n"
_NOTHING = b"{}\n"
"""What stands in the lock file while nothing is being added."""


def note_addition(lock: int, offset: int, data: bytes) -> None:
    """Note in the lock file what is going to be added."""
    os.ftruncate(lock, 0)
    head = {"adding": len(data), "offset": offset, "sha256": hashlib.sha256(data).hexdigest()}
    write_all(lock, json.dumps(head).encode() + b"\n" + data)


def note_end(lock: int) -> None:
    """Take the note back: the addition has ended, or was taken back.

    It need not last: after a power cut the note is there again, and the file ends with all that it tells of.
    """
    os.pwrite(lock, _NOTHING, 0)
    os.ftruncate(lock, len(_NOTHING))


def mend(descriptor: int, lock: int) -> int:
    """Cut off what a crash left at the end of the file, and end its last line; return how many bytes were cut off."""
    size = os.fstat(descriptor).st_size
    whole = _whole_size(descriptor, size, _noted(lock))
    if whole < size:
        os.ftruncate(descriptor, whole)
        os.fsync(descriptor)
    if whole and _read(descriptor, whole - 1, 1) != _LINE_END:
        write_all(descriptor, _LINE_END, at=whole)
    return size - whole


def _noted(lock: int) -> tuple[int, bytes] | None:
    """Return offset and data of an addition that did not end; None where nothing readable is noted."""
    head, _, data = _read(lock, 0, os.fstat(lock).st_size).partition(b"\n")
    try:
        noted = json.loads(head)
        known = noted["adding"] == len(data) and noted["sha256"] == hashlib.sha256(data).hexdigest()
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
    if tail.removesuffix(_LINE_END) == data.removesuffix(_LINE_END):
        return size  # all is there, at most but the end of the last line
    # After a power cut the file can have its new length, but zeros in place of the data.
    return offset if data.startswith(tail.rstrip(_NUL)) else size


def _read(descriptor: int, offset: int, length: int) -> bytes:
    parts = []
    while length > 0 and (part := os.pread(descriptor, length, offset)):
        parts.append(part)
        offset, length = offset + len(part), length - len(part)
    return b"".join(parts)
