"""The deadline of a request, so that a slow rest of an answer does not hide its status."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ends: ContextVar[float | None] = ContextVar("gateway_http_ends", default=None)


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Tell the requests inside that after so many seconds nobody takes their answer any more."""
    token = _ends.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


def ends() -> float | None:
    """Return until when by `time.monotonic` an answer is taken; None: nobody said."""
    return _ends.get()


def share_of(most: float, until: float | None) -> float:
    """Return how many seconds the rest of an answer may take: ``most``, or half of what is left until then."""
    return most if until is None else max(0.0, min(most, (until - time.monotonic()) / 2))
