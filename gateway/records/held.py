"""Bounds how many bytes of large records are held in memory."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable

MOST = 64 * 1024 * 1024
"""Bytes of the JSON of large records that are held at once; taken apart they may take ten times as many."""
_COLLECTED_EVERY = 5.0
"""Seconds between two collections of what nobody holds any more, while there is no room."""


class Held:
    """Stands for a large record as long as anybody holds it."""

    __slots__ = ("__weakref__",)


class HeldRecords:
    """Counts the large records of this process."""

    def __init__(self, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._bytes = 0
        self._lock = threading.Lock()
        self._collected_at = float("-inf")

    def has_room(self, size: int = 1) -> bool:
        """Tell whether so many bytes more may be held; alone, a record always may.

        What is held by nobody but by each other counts until it is collected: so it is, before the answer is no.
        """
        if not self._fits(size) and self._clock() - self._collected_at >= _COLLECTED_EVERY:
            self._collected_at = self._clock()
            gc.collect()
        return self._fits(size)

    def take(self, size: int) -> Held:
        """Count a record for as long as what is returned is held."""
        token = Held()
        self._count(size)
        weakref.finalize(token, self._count, -size)
        return token

    def take_if_room(self, size: int) -> Held | None:
        """Count a record if there is room for it; None: there is none."""
        return self.take(size) if self.has_room(size) else None

    def _fits(self, size: int) -> bool:
        return self._bytes == 0 or self._bytes + size <= self._most

    def _count(self, size: int) -> None:
        with self._lock:  # the last holder may let go in any thread
            self._bytes += size
