"""Puts authenticated requests that could not be parsed into quarantine, within limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable

import structlog

from gateway.alarms.book import AlarmBook
from gateway.config.sizes import say_size
from gateway.delivery.background import BackgroundTasks
from gateway.errors import CannotKeep
from gateway.intake.admission import Admission
from gateway.log import Mask
from gateway.models import AlarmKind
from gateway.store.engine.database import describe
from gateway.store.operator import quarantine
from gateway.store.operator.quarantine import NewEntry
from gateway.store.store import Store
from gateway.tally import Tally
from gateway.web.paths import shown

log = structlog.get_logger(__name__)

MOST_OF_A_SENDER = 600, 8 * 1024 * 1024
MOST_OF_ALL = 1200, 16 * 1024 * 1024
"""Bodies and bytes that are kept aside within a minute; a sender is whose headers they carry, and from where."""
_MINUTE = 60.0
_MOST_SENDERS = 1000


class Intake:
    """Counts what is kept aside within a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self._counts: dict[Hashable, tuple[int, int]] = {}

    def takes(self, sender: Hashable, size: int) -> str | None:
        """Count a body in; says why it is not kept, if too much came before it."""
        if self._clock() >= self._until:
            self._until = self._clock() + _MINUTE
            self._counts.clear()
        if len(self._counts) >= _MOST_SENDERS and sender not in self._counts:
            sender = None
        for who, (most, most_bytes), whose in (
            (sender, MOST_OF_A_SENDER, "of one sender "),
            ("", MOST_OF_ALL, ""),
        ):
            count, held = self._counts.get((who, whose), (0, 0))
            if count >= most or held + size > most_bytes:
                return f"more than {most} bodies or {say_size(most_bytes)} {whose}came within a minute"
            self._counts[who, whose] = count + 1, held + size
        return None


class Aside:
    """Puts bodies into quarantine, under an alarm for each reason code."""

    def __init__(self, *, store: Store, admission: Admission, mask: Mask, within: float) -> None:
        """``within``: seconds in which the store must have it; ``mask`` hides secrets in what is told of a body."""
        self._store = store
        self._alarms = AlarmBook(store)
        self._admission = admission
        self._background = BackgroundTasks("an alarm could not be raised")
        self.mask = mask
        self._within = within
        self._intake = Intake()
        self._tally = Tally(self._tell)
        self._left_out = Tally(self._tell_left_out)

    async def keep(self, entry: NewEntry) -> None:
        """Keep a body aside, unless too many came before it: then it is told of and forgotten.

        Raises:
            CannotKeep: the disk or the store does not take it; it must be sent again.
        """
        if (why := self._admission.refuses_bodies()) is not None:
            log.error("a body that is no notification was not kept", reason=entry.reason, error=why)
            raise CannotKeep(why)
        about = f"{entry.reason}. It had {len(entry.body)} bytes and came to {shown(entry.path)} from {entry.client}"
        if (why := self._intake.takes((*entry.senders, entry.client), quarantine.kept_of(entry))) is not None:
            self._left_out.met(entry.code, f"{about}. It was not kept aside: {why}")
            return
        number = await self._write(entry)
        log.warning("quarantined", reason=entry.reason, code=entry.code, quarantine=number)
        self._tally.met(entry.code, about)

    async def _write(self, entry: NewEntry) -> int:
        carries = quarantine.kept_of(entry)
        try:
            async with asyncio.timeout(self._within):
                return await self._store.write(lambda connection: quarantine.add(connection, entry), carries=carries)
        except Exception as error:
            log.error("a body that is no notification could not be kept", reason=entry.reason, error=describe(error))
            raise CannotKeep("the body could not be kept; send it again") from error

    async def finish(self) -> None:
        """Tell what was counted last."""
        self._tally.finish()
        self._left_out.finish()
        await self._background.wait()

    def _tell_left_out(self, code: str, times: int, about: str) -> None:
        log.warning("not a notification, and not kept aside", code=code, times=times, reason=about)
        self._tell(code, times, about)

    def _tell(self, code: str, times: int, about: str) -> None:
        text = (
            f"a body that carried the right secret is no notification: {about}. Such bodies are shown by "
            f"`gateway quarantine list --code {code}`, taken in after a mend by "
            f"`gateway quarantine replay --code {code}`, and forgotten by `gateway quarantine drop --code {code}`"
        )
        self._background.spawn(self._alarms.raise_alarm(AlarmKind.QUARANTINED, code, text, times=times))
