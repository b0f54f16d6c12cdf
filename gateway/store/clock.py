"""Times in the store: integers, microseconds since 1970, UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
NEVER = 2**62
"""Later than anything: a lane that waits for a person."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def now() -> int:
    """Return the time by this machine's clock."""
    return time.time_ns() // 1000


def to_store(moment: datetime | None) -> int | None:
    """Turn an aware datetime into the store's integer."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def from_store(value: int | None) -> datetime | None:
    """Turn the store's integer into an aware datetime in UTC."""
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def micros(seconds: float) -> int:
    """Turn seconds into the store's unit."""
    return round(seconds * SECOND)
