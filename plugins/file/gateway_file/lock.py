"""The lock beside a file that is added to: holds other processes off, and remembers the last addition."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.api import Unavailable

_LOOK_AGAIN = 0.01


def lock_path(path: Path) -> Path:
    """Return the hidden file that locks a file."""
    return path.with_name(f".{path.name}.lock")


@contextlib.contextmanager
def locked(path: Path, *, seconds: float) -> Iterator[int]:
    """Hold the lock of a file, and yield the descriptor of the lock file.

    Raises:
        Unavailable: another process held it all the time.
    """
    end = time.monotonic() + seconds
    while True:
        descriptor = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            _take(descriptor, path, end)
            if _is_still(descriptor, lock_path(path)):
                yield descriptor
                return
        finally:
            os.close(descriptor)  # which lets go of it


def _take(descriptor: int, path: Path, end: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise Unavailable(f"{path}: another process holds {lock_path(path).name} for too long") from None
            time.sleep(_LOOK_AGAIN)
        else:
            return


def _is_still(descriptor: int, path: Path) -> bool:
    """Tell whether the lock was not deleted while we waited: then others lock a new file of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
