"""Watches the store's clock: a leap is noticed within a second, corrected, and raises an alarm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from gateway.alarms.book import AlarmBook, AlarmStep
from gateway.calls.stagger import LONGEST as LONGEST_LINE
from gateway.models import AlarmKind, Retry
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.database import describe
from gateway.store.engine.transaction_time import from_store, micros
from gateway.store.store import Store
from gateway.store.work import leaps
from gateway.store.work.leaps import STEADY, Longest, Noted

log = structlog.get_logger(__name__)

_SUBJECT = "store"
_EVERY = 1.0
_NOTED_EVERY = 10.0
"""Seconds after which is noted what the clock shows, so that the next start can tell whether it went back."""
_JITTER = 1.2
"""So much longer than ``max`` a wait may be."""


class ClockWatch:
    """Compares the store's clock with one that only ever rises."""

    def __init__(self, *, store: Store, active: ActiveRoutes, on_leap: Callable[[], None]) -> None:
        self._store = store
        self._alarms = AlarmBook(store)
        self._active = active
        self._on_leap = on_leap
        self._knows: int | None = None
        self._noted_at = 0.0

    async def start(self) -> None:
        """Put right what a leap has done since something ran here last."""
        await self._note(None)

    async def keep_watching(self) -> None:
        """Look now and then until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self.look()
            except Exception as error:
                log.warning("the store's clock could not be looked at", error=describe(error))

    async def look(self) -> None:
        """Look once."""
        if (by := self._store.leapt()) or time.monotonic() - self._noted_at > _NOTED_EVERY:
            await self._note(by)
        else:
            self._store.believe()

    async def _note(self, by: int | None) -> None:
        longest, knows = self._longest(), self._knows

        def note(step: AlarmStep) -> Noted:
            noted = leaps.note(step.connection, longest, by=by, knows=knows)
            if (text := _say(noted)) is not None:
                step.raise_alarm(AlarmKind.CLOCK, _SUBJECT, text)
            return noted

        noted = await self._alarms.write(note)
        self._knows, self._noted_at = noted.leaps, time.monotonic()
        self._store.believe()
        if noted.shortened:
            log.warning("waits that were longer than retries make them were shortened", count=noted.shortened)
        if noted.by or noted.leaps != knows:
            self._on_leap()

    def _longest(self) -> Longest:
        routes = self._active.routes
        delivery: dict[str, float] = {name: _most(entry.retry) for name, entry in routes.destinations.items()}
        for route in routes.routes:
            for spec in route.deliveries:
                delivery[spec.destination] = max(delivery.get(spec.destination, 0.0), _most(spec.retry))
        accounts = routes.accounts.values()
        return Longest(
            delivery=delivery,
            fetch=max((_most(one.fetch_retry) for one in accounts), default=0.0),
            attachment=max((_most(one.attachment_retry) for one in accounts), default=0.0),
            report=max((_most(one.report_retry) for one in accounts), default=0.0),
            put_off=LONGEST_LINE,
            lease=self._store.lease,
        )


def _most(retry: Retry) -> float:
    return retry.max * _JITTER


def _say(noted: Noted) -> str | None:
    """Return the alarm's text; None: the clock goes as it should."""
    believed = f"{from_store(noted.moment + micros(STEADY)):%Y-%m-%d %H:%M} UTC"
    look = "Look at the time service (NTP) of that machine"
    if noted.by:
        way, shows = "forward" if noted.by > 0 else "back", from_store(noted.moment)
        return (
            f"the store's clock went {way} by {span(abs(noted.by))} and shows {shows:%Y-%m-%d %H:%M} "
            f"UTC. What waits was put right; nothing is deleted by its age until {believed}. {look}"
        )
    if noted.rested:
        return (
            f"the store's clock is {span(noted.rested)} ahead of what it showed when the store was used last. If the "
            f"gateway rested that long, all is well. If not, the clock is wrong: mend it before {believed}, when "
            f"what is older than `retention` begins to be deleted by it. {look}"
        )
    return None


def span(seconds: float) -> str:
    """Write a time of any length so that it is taken in at once."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
