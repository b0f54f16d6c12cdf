"""How much of large records is held in memory: beyond a bound the next ones are put off, so that it stays bounded."""

from __future__ import annotations

import threading
import weakref

MOST = 256 * 1024 * 1024
"""Bytes of the JSON of large records that are held at once; taken apart they may take ten times as many."""


class Held:
    """Stands for a large record as long as anybody holds it."""

    __slots__ = ("__weakref__",)


class HeldRecords:
    """Counts the large records of this process."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._bytes = 0
        self._lock = threading.Lock()

    def has_room(self, size: int) -> bool:
        """Tell whether so many bytes may be taken apart; alone, a record always may."""
        return self._bytes == 0 or self._bytes + size <= self._most

    def take(self, size: int) -> Held:
        """Count a record for as long as what is returned is held."""
        token = Held()
        self._count(size)
        weakref.finalize(token, self._count, -size)
        return token

    def _count(self, size: int) -> None:
        with self._lock:  # the last holder may let go in any thread
            self._bytes += size
