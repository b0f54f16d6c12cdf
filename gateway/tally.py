"""Logs what can happen thousands of times a second once a second, with a count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

EVERY = 1.0
"""Seconds between two tellings of the same."""


@dataclass(slots=True)
class _Met:
    times: int = 0
    text: str = ""
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class Tally:
    """Counts by subject, and calls ``tell(subject, times, text)`` at the first and then at most once a second.

    The text is that of the last one that was met. No stranger may be able to invent subjects.
    """

    def __init__(self, tell: Callable[[str, int, str], None], *, every: float = EVERY) -> None:
        self._tell = tell
        self._every = every
        self._met: dict[str, _Met] = {}

    def met(self, subject: str, text: str) -> None:
        """Note that something was met."""
        one = self._met.setdefault(subject, _Met())
        one.times, one.text = one.times + 1, text
        if one.timer is None:
            self._flush(subject)

    def finish(self) -> None:
        """Tell what was counted and not told yet, and end."""
        for subject, one in self._met.items():
            if one.timer is not None:
                one.timer.cancel()
            if one.times:
                self._tell(subject, one.times, one.text)
        self._met.clear()

    def _flush(self, subject: str) -> None:
        one = self._met[subject]
        if not one.times:
            del self._met[subject]
            return
        times, one.times = one.times, 0
        one.timer = asyncio.get_running_loop().call_later(self._every, self._flush, subject)
        self._tell(subject, times, one.text)
