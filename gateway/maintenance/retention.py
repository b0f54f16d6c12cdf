"""Deletes what ended long ago, batch by batch, after all other work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from gateway.attachments.spool import spool_of
from gateway.attachments.sweep import sweep
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.database import describe
from gateway.store.operator.retention import Pruned, Step, first_step
from gateway.store.store import Store
from gateway.store.work import attachments, leaps

log = structlog.get_logger(__name__)

_EVERY = 3600.0
"""Seconds between two walks."""
_PAUSE = 0.1
"""Seconds between two steps, for the ledger to do its own work."""


class Retention:
    """Deletes what ended longer ago than ``retention``."""

    def __init__(self, *, store: Store, active: ActiveRoutes, every: float = _EVERY) -> None:
        self._store = store
        self._active = active
        self._every = every

    async def keep_pruning(self) -> None:
        """Walk now and then until cancelled."""
        while True:
            try:
                if (wait := await self._store.read(leaps.unsteady_for)) > 0:
                    log.warning("nothing is deleted by its age yet: the clock has leapt", minutes=round(wait / 60))
                    await asyncio.sleep(min(wait, self._every))
                    continue
                done = await self.walk()
                if done != Pruned():
                    log.info("deleted what is older than retention", notifications=done.notifications, lanes=done.lanes)
            except Exception as error:
                log.warning("what is older than retention could not be deleted", error=describe(error))
            await asyncio.sleep(self._every)

    async def walk(self) -> Pruned:
        """Go through the store once; returns what was deleted."""
        step: Step | None = first_step(moment=self._store.now(), older_than=self._active.routes.retention)
        done = Pruned()
        while step is not None:
            deleted, step = await self._store.write(step)
            done += deleted
            await asyncio.sleep(_PAUSE)
        if removed := await sweep(spool_of(self._active.routes), self._belonging):
            log.info("removed attachments that belong to nothing", files=removed)
        return done

    async def _belonging(self, names: Sequence[str]) -> set[str]:
        return await self._store.read(lambda connection: attachments.files_of(connection, names))
