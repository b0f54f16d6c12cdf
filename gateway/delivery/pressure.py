"""Receiving comes first: while many requests wait for their answer, the worker sends little."""

from __future__ import annotations

_MANY = 16
"""Requests that wait at the same moment; doForms by itself hardly ever has as many."""

TRICKLE = 4
"""Deliveries that a destination starts together while there is pressure."""


class Pressure:
    """Counts the requests that wait for their answer."""

    def __init__(self) -> None:
        self._open = 0

    @property
    def is_high(self) -> bool:
        """Whether so many wait that the work should step back."""
        return self._open >= _MANY

    def __enter__(self) -> None:
        """Count a request while it is handled: ``with pressure: ...``."""
        self._open += 1

    def __exit__(self, *_: object) -> None:
        """Count it no more."""
        self._open -= 1
