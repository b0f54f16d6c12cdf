"""Token buckets of one process: how fast deliveries go to a destination, or calls to an account of doForms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.models import Rate


class Bucket(Protocol):
    """Where the permissions to send or to call come from."""

    def take(self, wanted: int, *, backlog: int = 0) -> int:
        """Take up to so many; returns how many there were. ``backlog``: so many wait for one."""
        ...

    def wait(self) -> float:
        """Return the seconds until it is worth while to ask again."""
        ...

    def stopped(self) -> float:
        """Return the seconds for which another process was told to make no calls, as far as is known here; or 0."""
        ...


@dataclass(frozen=True, slots=True)
class BucketRate:
    """How a bucket fills."""

    per_second: float
    burst: float
    """So many may go at once after a rest."""


def destination_rate(rate: Rate) -> BucketRate:
    """Return how the bucket of a destination fills: a second's worth may go at once."""
    per_second = rate.count / rate.per
    return BucketRate(per_second=per_second, burst=max(1.0, per_second))


def account_rate(requests_per_minute: int) -> BucketRate:
    """Return the rate that keeps to a limit however doForms counts it: in any 60 seconds never more calls than that.

    A bucket lets through what it holds and, within the minute, what fills it. So what it holds, the calls of one
    second, is missing from the rate by which it fills; and so is a hundredth, for calls that arrive closer together
    than they were made.
    """
    burst = max(1.0, requests_per_minute / 60)
    margin = requests_per_minute / 100
    return BucketRate(per_second=(requests_per_minute - (burst - 1) - margin) / 60, burst=burst)


class TokenBucket:
    """A bucket of this process alone; ``clock`` returns seconds that only ever rise."""

    def __init__(self, rate: BucketRate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._tokens = rate.burst
        self._filled_at = clock()

    def take(self, wanted: int, *, backlog: int = 0) -> int:
        """Take up to so many permissions; returns how many there were."""
        self._fill()
        taken = min(wanted, int(self._tokens))
        self._tokens -= taken
        return taken

    def wait(self) -> float:
        """Return the seconds until the next permission is there."""
        self._fill()
        return max(0.0, (1 - self._tokens) / self._rate.per_second)

    def stopped(self) -> float:
        """Return 0: there are no others."""
        return 0.0

    def _fill(self) -> None:
        moment = self._clock()
        self._tokens = min(self._rate.burst, self._tokens + (moment - self._filled_at) * self._rate.per_second)
        self._filled_at = moment


class Unlimited:
    """The bucket of a destination without a rate."""

    def take(self, wanted: int, *, backlog: int = 0) -> int:
        """Return what is wanted."""
        return wanted

    def wait(self) -> float:
        """Return 0."""
        return 0.0

    def stopped(self) -> float:
        """Return 0."""
        return 0.0
