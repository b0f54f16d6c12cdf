"""The short wait of a batch that is not full for more deliveries."""

from __future__ import annotations

import math
import time

_GATHERS = 0.01
"""Seconds that a batch which is not full waits for those under way, so that the lanes behind them come into one batch.

Without it a few busy lanes fall into groups that take turns, each with commits of its own."""


class BatchWindow:
    """How long the next batch still waits for more deliveries."""

    def __init__(self) -> None:
        self._until = math.inf

    def left(self, gathers: bool) -> float:
        """Return the seconds that the batch still waits, if it ``gathers`` at all."""
        if not gathers:
            self._until = math.inf
            return 0.0
        if math.isinf(self._until):
            self._until = time.monotonic() + _GATHERS
        return self._until - time.monotonic()

    def over(self) -> None:
        """Note that the batch has begun: the next one waits anew."""
        self._until = math.inf
