"""Spreads retries: those that wait for one thing look again one after the other."""

from __future__ import annotations

from gateway.store.engine.transaction_time import micros
from gateway.store.store import Store

LONGEST = 900.0
"""Seconds from the first place of a line to the last.

Who comes behind takes a turn between two others of its second half. So a line that was made while calls were slow, or
few were allowed, does not hold what waits back for hours once more can be called.
"""


class Stagger:
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
        first = self._store.now() + micros(wait)
        at = max(first, self._last.get(line, 0) + micros(60 / a_minute))
        if at > first + micros(LONGEST):
            at = first + micros(LONGEST / 2)
        self._last[line] = at
        return at

    def end(self, line: str) -> None:
        """Forget a line: what it waited for can be called again."""
        self._last.pop(line, None)
