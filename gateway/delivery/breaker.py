"""The breaker of a destination: open while it is down, and probed with one delivery at a time."""

from __future__ import annotations

from collections.abc import Callable

from gateway.models import Breaker

_SHORTEST_WISH = 1.0
"""Seconds between two probes, however soon the other side wants to be asked."""
_LONGEST_WISH = 6 * 3600.0


class BreakerState:
    """Counts failures in a row; ``clock`` returns seconds that only ever rise."""

    def __init__(self, limits: Breaker, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self._failures = 0
        self._probe_at: float | None = None
        self._probing = False
        self.open_since: float | None = None
        """Since when it is open, by the clock; None while closed."""

    @property
    def is_open(self) -> bool:
        """Whether the destination is taken for down."""
        return self._probe_at is not None

    @property
    def probe_at(self) -> float | None:
        """When the next probe may go, by the clock; None while closed."""
        return self._probe_at

    def capacity(self, wanted: int) -> int:
        """Return how many deliveries may go now: all wanted when closed, one for a probe when its time has come."""
        if self._probe_at is None:
            return wanted
        return min(wanted, 1) if not self._probing and self._clock() >= self._probe_at else 0

    def start(self) -> None:
        """Note that a delivery goes out; while open it is the probe."""
        self._probing = self.is_open

    def succeeded(self) -> bool:
        """Note that the destination answered, whatever it said; tell whether this closed the breaker."""
        was_open = self.is_open
        self._failures = 0
        self._probe_at = self.open_since = None
        self._probing = False
        return was_open

    def failed(self, *, whole: bool, wish: float | None = None, longest: float = _LONGEST_WISH) -> bool:
        """Note that the destination was unavailable; tell whether this opened the breaker.

        ``wish`` is after how many seconds the other side wants to be asked again, honoured up to ``longest``: instead
        of ``probe_after`` where it speaks of the destination as a whole, else only if it is the longer wait.
        """
        self._failures += 1
        self._probing = False
        if not (whole or self.is_open or self._failures >= self.limits.failures):
            return False
        opened = not self.is_open
        if opened:
            self.open_since = self._clock()
        self._probe_at = self._clock() + self._wait(whole, wish, longest)
        return opened

    def _wait(self, whole: bool, wish: float | None, longest: float) -> float:
        if wish is None:
            return self.limits.probe_after
        wanted = min(max(wish, _SHORTEST_WISH), max(longest, _SHORTEST_WISH))
        return wanted if whole else max(wanted, self.limits.probe_after)

    def cancelled(self) -> None:
        """Note that the probe ended without a word about the destination."""
        self._probing = False
