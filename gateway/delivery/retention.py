"""Retention while the gateway runs: now and then the store is walked through, batch by batch, after all other work."""

from __future__ import annotations

import asyncio

import structlog

from gateway.delivery.current import Current
from gateway.store import retention
from gateway.store.clock import micros
from gateway.store.engine import say
from gateway.store.retention import Pruned
from gateway.store.store import Store
from gateway.store.unused_lanes import prune_lanes

log = structlog.get_logger(__name__)

_EVERY = 3600.0
"""Seconds between two walks."""
_PAUSE = 0.1
"""Seconds between two batches, for the ledger to do its own work."""


class Retention:
    """Deletes what ended longer ago than ``retention``."""

    def __init__(self, *, store: Store, current: Current, every: float = _EVERY) -> None:
        self._store = store
        self._current = current
        self._every = every

    async def keep_pruning(self) -> None:
        """Walk now and then until cancelled."""
        while True:
            try:
                done = await self.walk()
                if done != Pruned():
                    log.info("deleted what is older than retention", notifications=done.notifications, lanes=done.lanes)
            except Exception as error:
                log.warning("what is older than retention could not be deleted", error=say(error))
            await asyncio.sleep(self._every)

    async def walk(self) -> Pruned:
        """Go through the store once; returns what was deleted."""
        age, moment = self._current.routes.retention, self._store.now()
        done = await self._store.write(lambda c: retention.prune_others(c, moment=moment, older_than=age))
        after: int | None = 0
        while after is not None:
            start = after
            batch, after = await self._store.write(
                lambda c, start=start: retention.prune(c, after=start, moment=moment, older_than=age)  # type: ignore[misc]
            )
            done += batch
            await asyncio.sleep(_PAUSE)
        return done + await self._walk_lanes(moment - micros(age))

    async def _walk_lanes(self, before: int) -> Pruned:
        done, after = 0, 0
        while True:
            deleted, going = await self._store.write(lambda c, start=after: prune_lanes(c, after=start, before=before))  # type: ignore[misc]
            done += deleted
            if going is None:
                return Pruned(lanes=done)
            after = going
            await asyncio.sleep(_PAUSE)
