"""Admission control: refuses new notifications when the backlog, the disk or memory is full."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.alarms.book import AlarmBook
from gateway.config.sizes import say_size
from gateway.intake.backlog import Backlog
from gateway.models import AlarmKind
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.database import describe
from gateway.store.operator import quarantine
from gateway.store.store import Store

log = structlog.get_logger(__name__)

LARGEST_HELD = 64 * 1024 * 1024
"""Bytes that may wait in memory to be kept; with a store that commits it is never more than a few."""
_EVERY = 2.0
"""Seconds between two looks."""
_CLEAR_OF = 0.1
"""So much of a limit there must be room beyond it until its alarm is cleared, lest it is raised again at once."""
_SUBJECT = "store"
_MORE_DISK = (
    "Make room on that disk, or delete what ended long ago: `gateway prune --older-than 30d`. What was in quarantine "
    "has given way already"
)
_LESS_BACKLOG = (
    "See which destination holds them up: `gateway destinations list`; mend it or resume it, or drop what is not wanted"
)


@dataclass(slots=True)
class _Limit:
    """A limit with its alarm."""

    kind: AlarmKind
    remedy: str
    """What a person does about it."""
    full: Callable[[], str | None]
    """Why nothing may be kept now, if that is so."""
    clear: Callable[[], bool]
    """Whether there is room again, and some to spare."""
    raised: bool | None = None
    """Whether its alarm is raised; None: not known, an earlier process may have raised it."""
    met: str | None = None
    """Why something was refused since the last look."""


class Admission:
    """Refuses what there is no room for, and raises an alarm as long as that lasts.

    The limits of the routes file have alarms, one each, raised once and cleared when there is room again. What waits in
    memory has none: the store does not commit then, which `/readyz` tells.
    """

    def __init__(self, *, store: Store, active: ActiveRoutes) -> None:
        self._store = store
        self._alarms = AlarmBook(store)
        self._active = active
        self.backlog = Backlog(store)
        self._free: int | None = None
        self._disk = _Limit(AlarmKind.DISK_NEARLY_FULL, _MORE_DISK, self._disk_full, self._disk_clear)
        self._limits = (
            self._disk,
            _Limit(AlarmKind.BACKLOG_FULL, _LESS_BACKLOG, self._backlog_full, self._backlog_clear),
        )

    def refuses(self) -> str | None:
        """Tell why no notification may be kept now; a repeat can still be answered."""
        for limit in self._limits:
            why = _meet(limit)
            if why is not None:
                return why
        return None

    def full(self) -> str | None:
        """Tell what `refuses` would tell, for somebody who only looks."""
        return next((why for limit in self._limits if (why := limit.full()) is not None), None)

    def refuses_bodies(self) -> str | None:
        """Tell why nothing at all may be written down now, be it a notification or not."""
        return _meet(self._disk)

    def memory_full(self, more: int) -> str | None:
        """Tell why so many bytes more may not wait in memory, if that is so."""
        if self._store.held + more < LARGEST_HELD:
            return None
        return f"{say_size(LARGEST_HELD)} wait in memory for the store to commit; send it again later"

    async def keep_looking(self) -> None:
        """Look now and then until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            await self.look()

    async def look(self) -> None:
        """Count what waits, ask the disk, raise and clear alarms."""
        try:
            await self.backlog.count()
            self._free = await self._make_way(await self._store.free())
        except Exception as error:
            log.warning("the backlog and the free disk could not be measured", error=describe(error))
            return
        for limit in self._limits:
            try:
                await self._tell(limit)
            except Exception as error:  # a disk may be too full even for the alarm
                log.warning("an alarm could not be raised or cleared", kind=limit.kind, error=describe(error))

    async def _make_way(self, free: int | None) -> int | None:
        """Have quarantine give way where the disk is short, the oldest first; returns what is free then."""
        wanted = int(self._active.routes.min_free_disk * (1 + _CLEAR_OF))
        if free is None or free >= wanted:
            return free
        kept = await self._store.read(quarantine.size)
        if not kept:
            return free
        left = max(0, kept - (wanted - free))
        gone = await self._store.write(lambda connection: quarantine.give_way(connection, most=left))
        log.warning("the disk is nearly full: bodies in quarantine gave way", bytes=gone)
        return await self._store.free()

    async def _tell(self, limit: _Limit) -> None:
        why, limit.met = limit.full() or limit.met, None
        if why is not None and not limit.raised:
            text = f"{why}. {limit.remedy}"
            await self._alarms.raise_alarm(limit.kind, _SUBJECT, text)
            limit.raised = True
        elif why is None and limit.raised is not False and limit.clear():
            await self._alarms.clear(limit.kind, _SUBJECT)
            limit.raised = False

    def _backlog_full(self) -> str | None:
        limit = self._active.routes.backlog_limit
        if self.backlog.size < limit:
            return None
        return f"{limit} deliveries wait already (backlog_limit); doForms is told to send again later"

    def _backlog_clear(self) -> bool:
        return self.backlog.size < self._active.routes.backlog_limit * (1 - _CLEAR_OF)

    def _disk_full(self) -> str | None:
        least = self._active.routes.min_free_disk
        if self._free is None or self._free >= least:
            return None
        return (
            f"the disk of the store has {say_size(self._free)} left, less than {say_size(least)} (min_free_disk); "
            "doForms is told to send again later"
        )

    def _disk_clear(self) -> bool:
        return self._free is None or self._free >= self._active.routes.min_free_disk * (1 + _CLEAR_OF)


def _meet(limit: _Limit) -> str | None:
    why = limit.full()
    if why is not None:
        limit.met = why
    return why
