"""Collects garbage when the process has grown, and gives memory back to the system.

Python's collector goes through everything that it knows each time it runs in full, so that it is asked to do so seldom.
But errors and the functions that they went through hold each other, with all that these held, until it comes by; a
record of megabytes is one thing to a count of things. And the C library keeps what was freed between what was not.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_EVERY = 5.0
"""Seconds between two looks."""
_GROWN_BY = 64 * 1024 * 1024
"""Bytes by which the process must have grown since the last collection."""
_MAPPED_ALONE = 1024 * 1024
"""Bytes from which on a block is one of its own, which goes back to the system as soon as it is freed."""
_MMAP_THRESHOLD = -3  # mallopt(3)
_STATM = Path("/proc/self/statm")


def calm_collector() -> None:
    """Keep Python's collector from going through everything that was loaded, again and again, while requests wait."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1000)


def resident() -> int | None:
    """Return the bytes that this process has in memory; None: the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


class MemoryWatch:
    """Has memory collected that nobody holds any more, whenever the process has grown much."""

    def __init__(self) -> None:
        self._library = _library()
        self._least = resident()

    async def keep_watching(self) -> None:
        """Look now and then until cancelled."""
        while self._least is not None:
            await asyncio.sleep(_EVERY)
            self.look()

    def look(self) -> None:
        """Look once."""
        now = resident()
        if now is None or self._least is None:
            return
        if now < self._least + _GROWN_BY:
            self._least = min(self._least, now)
            return
        gc.collect()
        if self._library is not None:
            self._library.malloc_trim(0)
        self._least = resident() or now
        log.debug("memory collected", before=now, after=self._least)


def _library() -> ctypes.CDLL | None:
    """Return the C library if it is glibc, told to give large blocks back; None: it is another one."""
    try:
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _MAPPED_ALONE)
        library.malloc_trim  # noqa: B018
    except (OSError, AttributeError):
        return None
    return library
