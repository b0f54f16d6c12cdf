"""The alarm that attachments cannot be spooled: raised once, cleared by the first one that can."""

from __future__ import annotations

import structlog

from gateway.store import alarms
from gateway.store.store import Store

log = structlog.get_logger(__name__)

KIND = "spool not writable"
"""The kind of the alarm; its subject is the folder."""


class SpoolAlarm:
    """Remembers whether the alarm is raised, so that nothing is written for each attachment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._subject: str | None = None
        self._known = False
        """Whether an alarm that an earlier process raised would be known."""

    async def begin(self, subject: str, text: str) -> None:
        """Raise it, or count it up."""
        self._subject, self._known = subject, True
        if await self._store.write(lambda c: alarms.raise_alarm(c, KIND, subject, text)):
            log.warning("alarm raised", kind=KIND, subject=subject, text=text)

    async def end(self) -> None:
        """Clear it: something was spooled."""
        if self._known and self._subject is None:
            return
        self._known, self._subject = True, None
        if any([await self._clear(one.subject) for one in await self._raised()]):
            log.info("alarm cleared", kind=KIND)

    async def _raised(self) -> list[alarms.Alarm]:
        return [one for one in await self._store.read(alarms.list_alarms) if one.kind == KIND]

    async def _clear(self, subject: str) -> bool:
        return await self._store.write(lambda c: alarms.clear_alarm(c, KIND, subject))
