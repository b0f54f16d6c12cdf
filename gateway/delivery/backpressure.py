"""Backpressure: the worker sends and fetches little while many notifications wait to be kept."""

from __future__ import annotations

_MANY = 4
"""Notifications that wait at the same moment; doForms by itself hardly ever has as many."""

TRICKLE = 4
"""Deliveries that a destination starts together while there is pressure."""


class Backpressure:
    """Counts the notifications that wait to be kept."""

    def __init__(self) -> None:
        self._open = 0

    @property
    def is_high(self) -> bool:
        """Whether so many wait that the work should step back."""
        return self._open >= _MANY

    def __enter__(self) -> None:
        """Count one while it is kept: ``with pressure: ...``."""
        self._open += 1

    def __exit__(self, *_: object) -> None:
        """Count it no more."""
        self._open -= 1
