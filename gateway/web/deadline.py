"""The deadline of shutdown: whatever still waits then is left behind."""

from __future__ import annotations

import logging
import os
import threading
import time

import structlog

log = structlog.get_logger(__name__)

_STEP = 0.05


class Deadline:
    """Ends the process with exit status 0 at a moment, unless it has ended before. Nothing is sure to notice a stop.

    A store that another process has locked, or a thread of a destination, can keep the orderly end waiting for long.
    What was acknowledged is in the store; what was being sent is of unknown end, as after a kill.
    """

    def __init__(self) -> None:
        self._at: float | None = None
        self._why = ""

    def within(self, seconds: float, why: str) -> None:
        """End the process after so many seconds at the latest, and log why; a later call puts another end."""
        first, self._at, self._why = self._at is None, time.monotonic() + seconds, why
        if first:
            threading.Thread(target=self._wait, name="deadline", daemon=True).start()

    def _wait(self) -> None:
        assert self._at is not None
        while time.monotonic() < self._at:
            time.sleep(_STEP)
        if self._why:
            log.warning("ended at once: what was being sent is of unknown end", why=self._why)
        for handler in logging.getLogger().handlers:
            handler.flush()
        os._exit(0)
