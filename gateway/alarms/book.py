"""Raising and clearing alarms: in the store and, once that is committed, in the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from gateway.models import AlarmKind
from gateway.store.store import Store
from gateway.store.work import alarms

log = structlog.get_logger(__name__)

T = TypeVar("T")


class AlarmStep:
    """A step of the store that raises or clears alarms beside what else it writes."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._raised: list[tuple[str, str, str]] = []
        self._cleared: list[tuple[str, str]] = []

    def raise_alarm(self, kind: AlarmKind, subject: str, text: str, *, times: int = 1) -> None:
        """Raise an alarm; one that is raised already is counted up by ``times`` and takes the newer text."""
        if alarms.raise_alarm(self.connection, kind, subject, text, times=times):
            self._raised.append((kind, subject, text))

    def clear(self, kind: AlarmKind | str, subject: str) -> None:
        """Clear an alarm, if it is raised."""
        if alarms.clear_alarm(self.connection, kind, subject):
            self._cleared.append((kind, subject))

    def log(self) -> None:
        """Log what is new and what has ended; the step is committed."""
        for kind, subject, text in self._raised:
            log.warning("alarm raised", kind=kind, subject=subject, text=text)
        for kind, subject in self._cleared:
            log.info("alarm cleared", kind=kind, subject=subject)


class AlarmBook:
    """Raises and clears the alarms of a running gateway."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def raise_alarm(self, kind: AlarmKind, subject: str, text: str, *, times: int = 1) -> None:
        """Raise an alarm, or count it up, in a step of its own; a new one is logged."""
        await self.write(lambda step: step.raise_alarm(kind, subject, text, times=times))

    async def clear(self, kind: AlarmKind | str, subject: str) -> None:
        """Clear an alarm in a step of its own; one that was raised is logged."""
        await self.write(lambda step: step.clear(kind, subject))

    async def write(self, work: Callable[[AlarmStep], T]) -> T:
        """Run a step that writes more than an alarm, and log what it did to alarms once it is committed."""

        def write(connection: Connection) -> tuple[T, AlarmStep]:
            step = AlarmStep(connection)
            return work(step), step

        result, step = await self._store.write(write)
        step.log()
        return result
