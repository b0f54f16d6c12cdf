"""Lines of those that wait for what cannot be called: they look again one after the other."""

from __future__ import annotations

from gateway.store.clock import micros
from gateway.store.store import Store


class Lines:
    """Tells each when to look again, no faster than calls can be made: so no call is lost by it.

    Looking is work too: a hundred thousand that all looked once a minute would leave no time for others.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: dict[str, int] = {}

    def next(self, line: str, wait: float, a_minute: int) -> int:
        """Return when to look again, in the store's time: after ``wait`` seconds, or later where others stand before.

        ``a_minute``: so many of the line look in a minute.
        """
        following = self._last.get(line, 0) + micros(60 / a_minute)
        self._last[line] = max(self._store.now() + micros(wait), following)
        return self._last[line]

    def end(self, line: str) -> None:
        """Forget a line: what it waited for can be called again."""
        self._last.pop(line, None)
