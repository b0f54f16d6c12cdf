"""Polls for work that is due, for deliveries and for reports.

Work that was kept or settled in this process is passed on in memory. The store is looked at when somebody wakes the
poller, when something falls due by its time, and once a second for what other processes did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from gateway.store.engine.transaction_time import SECOND

log = structlog.get_logger(__name__)

POLL = 1.0
"""Seconds after which the store is looked at though nothing called for it."""
_SHORTEST = 0.001
"""Seconds of the shortest sleep."""


class Poller:
    """Wakes, looks, sleeps until something is due; ``now`` returns the store's time."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._wake = asyncio.Event()
        self._sleeps_until = 0
        self._stopped = False

    def stop(self) -> None:
        """Look no more. A look that is under way ends, so that what it claimed can be handed back."""
        self._stopped = True
        self._wake.set()

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def due_at(self, moment: int) -> None:
        """Note that something will be due, in the store's time."""
        if moment < self._sleeps_until:
            self._wake.set()

    def wait_for(self, due_at: int | None) -> float:
        """Return the seconds to sleep until something is due, at most `POLL`; None: nothing is known to fall due."""
        if due_at is None:
            return POLL
        return max(_SHORTEST, min(POLL, (due_at - self._now()) / SECOND))

    async def keep_looking(self, look: Callable[[], Awaitable[float]]) -> None:
        """Look until told to stop; ``look`` claims what is due and returns the seconds until there can be more."""
        while not self._stopped:
            self._wake.clear()
            try:
                wait = await look()
            except Exception as error:
                log.error("the store could not be read or written; trying again", error=str(error), exc_info=error)
                wait = POLL
            if wait > 0 and not self._stopped:
                await self._sleep(wait)

    async def _sleep(self, wait: float) -> None:
        self._sleeps_until = self._now() + round(wait * SECOND)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._wake.wait()
        self._sleeps_until = 0
