"""The alarm monitor: clears alarms whose cause has ended, whoever ended it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

import structlog

from gateway.alarms.book import AlarmBook
from gateway.models import AlarmKind
from gateway.store.engine.database import describe
from gateway.store.engine.transaction_time import from_store
from gateway.store.operator.alarm_conditions import STANDS
from gateway.store.store import Store
from gateway.store.work import alarms
from gateway.store.work.alarms import Alarm

log = structlog.get_logger(__name__)

_EVERY = 30.0
"""Seconds between two looks."""
UNAUTHORISED_FOR = timedelta(hours=1)
"""How long there must be no burst of wrong secrets, and nothing at a wrong path, until its alarm is cleared."""
_UNTIL_QUIET = frozenset({AlarmKind.UNAUTHORISED, AlarmKind.WRONG_PATH})
STALLED_FOR = timedelta(minutes=10)
"""How long nothing must have waited for the store until its alarm is cleared."""
Look = Callable[[bool], Awaitable[None]]
"""Looks after causes of its own; given whether it is to be a thorough look, after routes were loaded."""
HasEnded = Callable[[Alarm], Awaitable[bool]]
"""Tells whether the cause of a raised alarm has ended."""


class AlarmMonitor:
    """Looks at the raised alarms now and then."""

    def __init__(
        self,
        *,
        store: Store,
        looks: Sequence[Look],
        ends: Mapping[str, HasEnded],
    ) -> None:
        """``ends`` has, by kind, what only somebody beside the store knows."""
        self._store = store
        self._alarms = AlarmBook(store)
        self._looks = looks
        self._ends = ends

    async def keep_watching(self) -> None:
        """Look now and then until cancelled; the first look is a thorough one."""
        thoroughly = True
        while True:
            try:
                await self.look(thoroughly=thoroughly)
                thoroughly = False
            except Exception as error:
                log.warning("alarms could not be looked at", error=describe(error))
            await asyncio.sleep(_EVERY)

    async def look(self, *, thoroughly: bool = False) -> None:
        """Clear what has ended; ``thoroughly`` after routes were loaded."""
        for look in self._looks:
            await look(thoroughly)
        if stalls := self._store.take_stalls():
            text = (
                f"the store kept steps waiting for long, {len(stalls)} times since the last look: {stalls[-1]}. "
                "Receiving and deliveries stand meanwhile. See who locks it (PostgreSQL: pg_locks, pg_stat_activity), "
                "whether its machine is overloaded, and what stands between it and this one"
            )
            await self._alarms.raise_alarm(AlarmKind.STORE_STALLS, "store", text)
        for alarm in await self._store.read(alarms.list_alarms):
            if await self._has_ended(alarm):
                await self._alarms.clear(alarm.kind, alarm.subject)

    async def _has_ended(self, alarm: Alarm) -> bool:
        if alarm.kind in _UNTIL_QUIET:
            return from_store(self._store.now()) - alarm.last > UNAUTHORISED_FOR
        if alarm.kind == AlarmKind.STORE_STALLS:
            return from_store(self._store.now()) - alarm.last > STALLED_FOR
        if (has_ended := self._ends.get(alarm.kind)) is not None:
            return await has_ended(alarm)
        stands = STANDS.get(alarm.kind)
        return stands is not None and not await self._store.read(lambda connection: stands(connection, alarm.subject))
