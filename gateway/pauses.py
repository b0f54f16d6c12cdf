"""Pauses of destinations and web services: until a person acts, or until a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from gateway.alarms.book import AlarmBook, AlarmStep
from gateway.models import AlarmKind
from gateway.store.engine.transaction_time import from_store, micros, to_store
from gateway.store.operator import pauses
from gateway.store.operator.pauses import PAUSED, Pause
from gateway.store.store import Store

log = structlog.get_logger(__name__)


class Kind(StrEnum):
    """What can be paused."""

    DESTINATION = "destination"
    """Deliveries to it wait."""
    WEBSERVICE = "webservice"
    """Calls to doForms in its name wait; receiving goes on."""


class Cause(StrEnum):
    """Why something is paused, and so what ends it."""

    MISCONFIGURED = "misconfigured"
    """A destination needs a person; ends with a start, a reload, an order, or an hourly probe that works."""
    UNAUTHORISED = "unauthorised"
    """doForms refused a web service's password; ends like the one before."""
    WRONG_API = "wrong api"
    """What answers at a web service's ``api`` is not doForms; ends like those before, and is tried more often."""
    QUOTA = "quota"
    """A web service's calls of the day are used up; ends with the day."""
    ORDERED = pauses.ORDERED
    """A person held a destination back; ends when a person says so."""


_MENDED_BY_SETTINGS = frozenset({Cause.MISCONFIGURED, Cause.UNAUTHORISED, Cause.WRONG_API})

PROBE_AFTER = timedelta(hours=1)
"""How long a pause that a person should end lasts before one call shows whether its cause is gone."""


WRONG_API_FOR = timedelta(minutes=5)
"""How long a web service waits whose ``api`` leads elsewhere: it may be a page that tells of a repair of doForms."""


class Pauses:
    """This process' view of the pauses in the store, refreshed every second by the worker."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._alarms = AlarmBook(store)
        self._pauses: dict[tuple[str, str], Pause] = {}
        self._changes = 0
        self._changing = 0
        """Changes of this process, and how many of them are on their way to the store."""

    async def refresh(self) -> None:
        """Read the pauses, so that what a person ordered by a command is noticed.

        What was read while this process changed something may lack that; then the next look counts.
        """
        changes, changing = self._changes, self._changing
        found = await self._store.read(pauses.list_pauses)
        if changing or changes != self._changes:
            return
        self._pauses = {(pause.kind, pause.name): pause for pause in found}

    def reason(self, kind: Kind, name: str) -> str | None:
        """Return why something is paused; None: it is not."""
        pause = self._pauses.get((kind, name))
        if pause is None or (pause.until is not None and pause.until <= self._store.now()):
            return None
        return pause.reason

    def remedy(self, kind: Kind, name: str, *, called: str) -> str | None:
        """Return what ends a pause, for a person who knows the thing by ``called``; None: it is not paused."""
        pause = self._pauses.get((kind, name))
        return None if pause is None else _remedy(pause, called)

    def probing(self, kind: Kind, name: str) -> bool:
        """Tell whether the time of a pause is over and the next call will show whether its cause is."""
        return (kind, name) in self._pauses and self.reason(kind, name) is None

    def names(self, kind: Kind) -> Collection[str]:
        """Return the names of all that are paused."""
        return [name for (of_kind, name) in self._pauses if of_kind == kind and self.reason(kind, name)]

    async def mended(self) -> None:
        """End the pauses that new settings may have mended: at start and after a reload.

        What is not open yet by then is noted anew at its next try.
        """
        await self._store.write(lambda connection: pauses.forget(connection, pauses.OPENING))
        await self.refresh()
        for kind, name in [key for key, pause in self._pauses.items() if pause.cause in _MENDED_BY_SETTINGS]:
            await self.resume(Kind(kind), name)

    async def end_what_is_over(self) -> None:
        """End the pauses that their time alone ends: that of a quota, which no call may have followed."""
        for (kind, name), pause in list(self._pauses.items()):
            if pause.cause == Cause.QUOTA and self.reason(Kind(kind), name) is None:
                await self.resume(Kind(kind), name)

    def misconfigured(self) -> Collection[str]:
        """Return the destinations that wait for a person to mend their settings."""
        return [name for (_, name), pause in self._pauses.items() if pause.cause == Cause.MISCONFIGURED]

    async def worked(self, kind: Kind, name: str) -> None:
        """Note that a call worked; ends a pause that was waiting for such a probe."""
        if self.probing(kind, name):
            await self.resume(kind, name)

    async def resume_if(self, kind: Kind, name: str, cause: Cause) -> None:
        """End a pause that has this cause, if there is one."""
        pause = self._pauses.get((kind, name))
        if pause is not None and pause.cause == cause:
            await self.resume(kind, name)

    async def pause(
        self,
        kind: Kind,
        name: str,
        reason: str,
        *,
        cause: Cause,
        until: datetime | None = None,
        called: str | None = None,
    ) -> None:
        """Pause something until then (left out: until the next probe) and raise the alarm.

        ``called`` is its name in the routes file, if that is another. What a person paused stays so.
        """
        standing = self._pauses.get((kind, name))
        if standing is not None and standing.cause == Cause.ORDERED != cause:
            return
        if self.reason(kind, name) is None:
            log.warning(f"{kind} paused", name=name, reason=reason)
        moment = self._store.now()
        end = moment + micros(PROBE_AFTER.total_seconds()) if until is None else to_store(until)
        pause = Pause(kind=kind, name=name, cause=cause, reason=reason, since=moment, until=end)
        with self._change():
            self._pauses[kind, name] = pause
            await self._alarms.write(lambda step: _pause(step, pause, called or name))

    async def opening(self, name: str, reason: str, *, next_in: float | None, alarm: bool) -> None:
        """Note that a destination is not open yet, for lists; with ``alarm`` that a person must see to it."""
        now = self._store.now()
        entry = Pause(
            kind=pauses.OPENING,
            name=name,
            cause=pauses.OPENING,
            reason=reason,
            since=now,
            until=None if next_in is None else now + micros(next_in),
        )
        await self._alarms.write(lambda step: _opening(step, entry, alarm=alarm))

    async def no_longer_opening(self, name: str) -> None:
        """Note that nobody is about to open a destination."""
        await self._store.write(lambda connection: pauses.forget(connection, pauses.OPENING, name))

    async def down(self, name: str, reason: str, *, next_in: float) -> None:
        """Note that a destination is down, and in how many seconds it is tried next, for lists."""
        now = self._store.now()
        entry = Pause(
            kind=pauses.DOWN, name=name, cause=pauses.DOWN, reason=reason, since=now, until=now + micros(next_in)
        )
        with self._change():
            self._pauses.setdefault((pauses.DOWN, name), entry)
            await self._store.write(lambda connection: pauses.pause(connection, entry))

    def is_down(self, name: str) -> bool:
        """Tell whether it is noted that a destination is down, by whichever process."""
        return (pauses.DOWN, name) in self._pauses

    async def is_back(self, name: str | None = None) -> None:
        """Note that a destination, or any, is not down."""
        with self._change():
            for key in [key for key in self._pauses if key[0] == pauses.DOWN and name in (None, key[1])]:
                del self._pauses[key]
            await self._store.write(lambda connection: pauses.forget(connection, pauses.DOWN, name))

    async def opened(self, name: str) -> None:
        """Note that a destination is open: what paused it because it could not be opened has ended."""
        await self.no_longer_opening(name)
        await self._alarms.clear(AlarmKind.DESTINATION_NOT_OPEN, name)
        await self.resume_if(Kind.DESTINATION, name, Cause.MISCONFIGURED)

    async def resume(self, kind: Kind, name: str) -> None:
        """End a pause whose cause is gone and clear its alarm; one that a person ordered meanwhile stays."""
        with self._change():
            if self._pauses.pop((kind, name), None) is not None:
                log.info(f"{kind} resumed", name=name)
            await self._store.write(lambda connection: pauses.resume(connection, kind, name, ordered=False))

    @contextmanager
    def _change(self) -> Iterator[None]:
        self._changes += 1
        self._changing += 1
        try:
            yield
        finally:
            self._changing -= 1


def _opening(step: AlarmStep, entry: Pause, *, alarm: bool) -> None:
    pauses.pause(step.connection, entry)
    if not alarm:
        return
    text = (
        f"it cannot be opened, and its deliveries wait: {entry.reason}. Look whether it can be reached; it is tried "
        "each minute, and goes on by itself"
    )
    step.raise_alarm(AlarmKind.DESTINATION_NOT_OPEN, entry.name, text)


def _pause(step: AlarmStep, pause: Pause, called: str) -> None:
    if not pauses.pause(step.connection, pause):
        return
    text = ". ".join(part for part in (pause.reason.rstrip("."), _remedy(pause, called)) if part)
    step.raise_alarm(PAUSED[pause.kind], pause.name, text)


def _remedy(pause: Pause, called: str) -> str:
    """Say what a person has to do, and when it goes on by itself."""
    order = f"`gateway {pause.kind}s resume {called}`"
    if pause.cause == Cause.QUOTA:
        return (
            f"It goes on by itself at {from_store(pause.until):%Y-%m-%d %H:%M} UTC; {order} lets it go on before that"
        )
    if pause.cause == Cause.UNAUTHORISED:
        return (
            f"Mend its password; then {order}, or `gateway reload` if a running gateway has to learn the new one from "
            "a file; from an environment variable it learns it by a restart. It is tried again by itself once an hour"
        )
    if pause.cause == Cause.WRONG_API:
        return (
            f"Put `api` (or `proxy`) of [doforms], its account or itself right, then `gateway reload`; {order} "
            "tries it at once. By itself it is tried each five minutes; nothing is lost meanwhile"
        )
    if pause.cause == Cause.MISCONFIGURED:
        return f"Mend it, then {order} or `gateway reload`; it is tried with one delivery once an hour"
    return ""
