"""Which delivery keys a file holds already: read once, then kept up to date with what is added."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from gateway.api import Misconfigured
from gateway_file.content import KEY_COLUMN
from gateway_file.options import FileFormat

csv.field_size_limit(sys.maxsize)  # the limit of the csv module is meant for files from strangers
_KEY_AT_END = re.compile(rf'"{KEY_COLUMN}": ("[^"\\]*")\}}\s*\Z')
_BEHIND = "\0"
"""A row put behind the last one: it is read as a row of its own unless the file ends within a cell."""
_MOST_FILES = 16
_TAIL = 256


@dataclass(slots=True)
class _Known:
    """The keys of one file, and the state of the file that they were read in."""

    inode: int
    size: int
    mtime_ns: int
    tail: bytes
    keys: set[str]


class Index:
    """The delivery keys in the files that were added to lately. Use it under the file's lock only."""

    def __init__(self) -> None:
        self._files: OrderedDict[Path, _Known] = OrderedDict()
        self._guard = threading.Lock()

    def keys(self, path: Path, descriptor: int, format: FileFormat) -> set[str]:
        """Return the keys in a file, reading only what was added since the last time.

        Raises:
            Misconfigured: what others wrote into a csv file leaves it in the middle of a cell.
        """
        with self._guard:
            known = self._files.pop(path, None)
        status = os.fstat(descriptor)
        if known is not None and _unchanged(known, status):
            keys = known.keys
        elif known is not None and _only_grown(known, status, descriptor):
            keys = known.keys
            keys.update(_read_keys(path, descriptor, known.size, format))
        else:
            keys = set(_read_keys(path, descriptor, 0, format))
        self._remember(path, descriptor, keys)
        return keys

    def added(self, path: Path, descriptor: int, key: str) -> None:
        """Take note that rows of this key were just added."""
        with self._guard:
            known = self._files.pop(path, None)
        if known is not None:
            known.keys.add(key)
            self._remember(path, descriptor, known.keys)

    def _remember(self, path: Path, descriptor: int, keys: set[str]) -> None:
        status = os.fstat(descriptor)
        tail = os.pread(descriptor, _TAIL, max(status.st_size - _TAIL, 0))
        known = _Known(status.st_ino, status.st_size, status.st_mtime_ns, tail, keys)
        with self._guard:
            self._files[path] = known
            while len(self._files) > _MOST_FILES:
                self._files.popitem(last=False)


def _unchanged(known: _Known, status: os.stat_result) -> bool:
    return (known.inode, known.size, known.mtime_ns) == (status.st_ino, status.st_size, status.st_mtime_ns)


def _only_grown(known: _Known, status: os.stat_result, descriptor: int) -> bool:
    """Tell whether another process has added to the file and not written it anew."""
    if known.inode != status.st_ino or status.st_size <= known.size:
        return False
    return os.pread(descriptor, len(known.tail), known.size - len(known.tail)) == known.tail


def _read_keys(path: Path, descriptor: int, start: int, format: FileFormat) -> Iterator[str]:
    raw = io.FileIO(os.dup(descriptor), "rb")
    raw.seek(start)
    with io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8", errors="replace", newline="") as lines:
        if format is FileFormat.CSV:
            yield from _keys_of_rows(path, lines)
        else:
            yield from (key for line in lines if (key := _key_of(line)) is not None)


def _keys_of_rows(path: Path, lines: Iterable[str]) -> Iterator[str]:
    row: Sequence[str] = ()
    for row in csv.reader(chain(lines, [_BEHIND])):
        if row and row != [_BEHIND]:
            yield row[-1]
    if row != [_BEHIND]:
        raise Misconfigured(
            f"{path} ends within a quoted cell, so that rows added to it could not be read. Somebody else wrote that: "
            "close the quote, or move the file away"
        )


def _key_of(line: str) -> str | None:
    found = _KEY_AT_END.search(line)
    try:
        key = json.loads(found[1]) if found else json.loads(line)[KEY_COLUMN]
    except (ValueError, KeyError, TypeError):
        return None  # not a line of ours
    return key if isinstance(key, str) else None
