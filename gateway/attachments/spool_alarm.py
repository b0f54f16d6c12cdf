"""The alarm "spool not writable": raised by the first failure, cleared by the first success."""

from __future__ import annotations

from gateway.alarms.book import AlarmBook
from gateway.models import AlarmKind
from gateway.store.store import Store
from gateway.store.work import alarms


class SpoolAlarm:
    """Remembers whether the alarm is raised, so that nothing is written for each attachment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._alarms = AlarmBook(store)
        self._subject: str | None = None
        self._known = False
        """Whether an alarm that an earlier process raised would be known."""

    async def begin(self, subject: str, text: str) -> None:
        """Raise it, or count it up."""
        self._subject, self._known = subject, True
        await self._alarms.raise_alarm(AlarmKind.SPOOL_NOT_WRITABLE, subject, text)

    async def end(self) -> None:
        """Clear it: something was spooled."""
        if self._known and self._subject is None:
            return
        self._known, self._subject = True, None
        for alarm in await self._store.read(alarms.list_alarms):
            if alarm.kind == AlarmKind.SPOOL_NOT_WRITABLE:
                await self._alarms.clear(AlarmKind.SPOOL_NOT_WRITABLE, alarm.subject)
