"""Times in the store: integers, microseconds since 1970, UTC.

Whoever decides by the time (leases, what is due, numbers in a lane) asks the store's clock: this machine's where only
this machine uses the store, the database's where several do.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import overload

from sqlalchemy import Connection

SECOND = 1_000_000
NEVER = 2**62
"""Later than anything: a lane that waits for a person."""
ASKED = "gateway asked the clock"
"""Where a connection whose database has a clock of its own keeps what it said at the transaction's start."""

LEAST = 10.0
"""Seconds by which a clock must leap to be noticed; less than that is left to the clocks' own correction."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def now() -> int:
    """Return the time by this machine's clock."""
    return time.time_ns() // 1000


def steady() -> float:
    """Return seconds that only ever rise, whatever this machine's clock does, and go on while it sleeps."""
    boottime: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the store's clock showed, and between which moments by `steady` it was asked."""

    before: float
    moment: int
    after: float

    def leap_since(self, earlier: Reading) -> int:
        """Return by how many microseconds the clock has leapt between two readings; 0: by none worth speaking of."""
        passed = self.moment - earlier.moment
        least = passed - (self.after - earlier.before) * SECOND
        most = passed - (self.before - earlier.after) * SECOND
        return round((least + most) / 2) if least > LEAST * SECOND or most < -LEAST * SECOND else 0


def ask(connection: Connection) -> tuple[float, int]:
    """Return `time.monotonic` and, asked after it, the store's time; a transaction that only reads may get an estimate.

    In this order a lease whose end is counted from both never ends later here than in the store.
    """
    asked: tuple[float, int] | None = connection.info.get(ASKED)
    return asked or (time.monotonic(), now())


@overload
def to_store(moment: datetime) -> int: ...
@overload
def to_store(moment: datetime | None) -> int | None: ...
def to_store(moment: datetime | None) -> int | None:
    """Turn an aware datetime into the store's integer."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


@overload
def from_store(value: int) -> datetime: ...
@overload
def from_store(value: int | None) -> datetime | None: ...
def from_store(value: int | None) -> datetime | None:
    """Turn the store's integer into an aware datetime in UTC."""
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def micros(seconds: float) -> int:
    """Turn seconds into the store's unit."""
    return round(seconds * SECOND)
