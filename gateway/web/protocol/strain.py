"""Overload of the door: shown by readiness and an alarm while it lasts, and for a minute after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from gateway.alarms.book import AlarmBook
from gateway.models import AlarmKind
from gateway.store.engine.database import describe
from gateway.store.store import Store

log = structlog.get_logger(__name__)

_TOLD_FOR = 60.0
"""Seconds for which something is told after it was met last."""
_EVERY = 1.0
"""Seconds between two looks."""


class Strain:
    """A bound that strangers can reach."""

    def __init__(
        self, kind: AlarmKind, subject: str, remedy: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Have an alarm of this kind and subject; ``remedy`` says what a person does about it."""
        self.kind = kind
        self.subject = subject
        self.remedy = remedy
        self._clock = clock
        self._text: str | None = None
        self._at = 0.0
        self.raised: bool | None = None
        """Whether its alarm is raised; None: not known, an earlier process may have raised it."""

    def met(self, text: str) -> None:
        """Note that the bound was reached."""
        self._text, self._at = text, self._clock()

    def why(self) -> str | None:
        """Tell what was met within the last minute."""
        if self._text is not None and self._clock() - self._at >= _TOLD_FOR:
            self._text = None
        return self._text


class Strains:
    """Raises and clears the alarms of several."""

    def __init__(self, store: Store, strains: Sequence[Strain]) -> None:
        self._alarms = AlarmBook(store)
        self._strains = tuple(strains)

    def why(self) -> str | None:
        """Tell what strains the door, if anything does."""
        return "; ".join(why for strain in self._strains if (why := strain.why()) is not None) or None

    async def keep_looking(self) -> None:
        """Raise and clear alarms until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY)

    async def look(self) -> None:
        """Raise and clear alarms now."""
        for strain in self._strains:
            try:
                await self._tell(strain)
            except Exception as error:
                log.warning("an alarm could not be raised or cleared", kind=strain.kind, error=describe(error))

    async def _tell(self, strain: Strain) -> None:
        why = strain.why()
        if why is not None and not strain.raised:
            await self._alarms.raise_alarm(strain.kind, strain.subject, f"{why}. {strain.remedy}")
            strain.raised = True
        elif why is None and strain.raised is not False:
            await self._alarms.clear(strain.kind, strain.subject)
            strain.raised = False
