"""Throttles log lines that strangers can cause: once a second, with a count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

EVERY = 1.0
"""Seconds between two lines about the same event."""

Later = Callable[[float, Callable[[], None]], object]
"""Calls something after so many seconds."""


@dataclass(slots=True)
class _Held:
    """What was not logged since the last line about an event."""

    count: int
    details: dict[str, Any]


def _on_running_loop(seconds: float, call: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, call)


class LogLimit:
    """Logs warnings, of each event at most one line in ``every`` seconds.

    The first one is logged at once. Those that follow within ``every`` seconds are counted, and told by one line with
    ``count`` and the details of the last one. An event is a constant text of the code, never something that came from
    outside: one entry is remembered for each.
    """

    def __init__(self, log: Any = None, *, every: float = EVERY, later: Later = _on_running_loop) -> None:
        """Log to ``log``, by default to the logger of this module; outside an event loop give another ``later``."""
        self._log = structlog.get_logger(__name__) if log is None else log
        self._every = every
        self._later = later
        self._held: dict[str, _Held] = {}

    def warning(self, event: str, **details: Any) -> None:
        """Log an event, or count it."""
        held = self._held.get(event)
        if held is None:
            self._log.warning(event, **details)
            self._hold(event)
        else:
            held.count += 1
            held.details = details

    def _hold(self, event: str) -> None:
        self._held[event] = _Held(0, {})
        self._later(self._every, lambda: self._tell(event))

    def _tell(self, event: str) -> None:
        held = self._held.pop(event)
        if held.count:
            self._log.warning(event, **held.details, count=held.count)
            self._hold(event)
