"""How fast deliveries may go to a destination."""

from __future__ import annotations

from collections.abc import Callable

from gateway.models import Rate


class Pace:
    """A token bucket of one second's worth; ``clock`` returns seconds that only ever rise."""

    def __init__(self, rate: Rate | None, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._per_second = rate.count / rate.per if rate else 0.0
        self._size = max(1.0, self._per_second)
        self._tokens = self._size
        self._filled_at = clock()

    def take(self, wanted: int) -> int:
        """Take up to so many permissions to send; returns how many were there."""
        if self._rate is None:
            return wanted
        self._fill()
        taken = min(wanted, int(self._tokens))
        self._tokens -= taken
        return taken

    def give_back(self, count: int) -> None:
        """Return permissions that were not used."""
        if self._rate is not None:
            self._tokens = min(self._size, self._tokens + count)

    def wait(self) -> float:
        """Return the seconds until the next permission is there."""
        if self._rate is None:
            return 0.0
        self._fill()
        return max(0.0, (1 - self._tokens) / self._per_second)

    def _fill(self) -> None:
        moment = self._clock()
        self._tokens = min(self._size, self._tokens + (moment - self._filled_at) * self._per_second)
        self._filled_at = moment
