"""Finds records that doForms lists and the gateway does not know, and admits them like notifications."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog

from gateway.calls.access import pause_refused
from gateway.calls.client import AccountClient, NotCalled
from gateway.config.loaded import Webservice
from gateway.doforms.failures import Forbidden, Later, NotAListing, Quota, Unauthorised, WrongApi
from gateway.doforms.listing import MOST, ListedRecord
from gateway.doforms.listing_walk import Page, walk
from gateway.doforms.synthetic import stand_in
from gateway.errors import DoformsError, GatewayError, NotANotification
from gateway.intake.backlog import Backlog
from gateway.intake.rematch import plan_rematch
from gateway.models import Event
from gateway.pauses import Kind, Pauses
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.transaction_time import from_store, micros, to_store
from gateway.store.store import Store
from gateway.store.work import admit, watermarks
from gateway.store.work.inbox import Keep

log = structlog.get_logger(__name__)

REASON = "backfilled: doForms lists the record, and no notification of it came"
_BOUNDARY = timedelta(minutes=1)
"""How far the time that a notification tells may be from that by which doForms lists its record."""
_SURELY = timedelta(minutes=15)
"""How far they may be apart at most, where the clocks of doForms and of the gateway agree as well as that."""
_AGAIN = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds until a listing that failed is asked for again, unless doForms names a time; then nothing is listed now."""
_LONGEST = 60.0
"""Seconds that are waited for a single listing, if doForms names a time."""
_SHARE_OF_BACKLOG = 2
_SHARE_OF_DISK = 2
"""Records are let in only while the backlog is below a half of its limit and twice the least disk is free."""


class NotListed(GatewayError):
    """Reconciling a web service cannot go on now; ``retry_after`` is the wait in seconds that doForms asked for."""

    def __init__(self, text: str, *, retry_after: float | None = None, told: bool = False) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.told = told
        """Whether an alarm tells of the cause already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """That a listing is not all that there is."""

    text: str
    """For a person."""
    lacking: Mapping[str, datetime]
    """Key -> when it was made, of the records that should be in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A page of what doForms lists, compared with the store."""

    begin: datetime
    end: datetime
    last: bool
    """Whether its window is complete with it."""
    listed: Sequence[ListedRecord]
    unknown: Sequence[ListedRecord]
    doubt: Doubt | None = None
    """Why the listing cannot be all that there is."""


class Backfill:
    """Compares what doForms received with what is kept, and lets in what is missing."""

    def __init__(self, *, store: Store, active: ActiveRoutes, calls: AccountClient, pauses: Pauses) -> None:
        self._store = store
        self._active = active
        self._calls = calls
        self._pauses = pauses
        self._backlog = Backlog(store)

    def obstacle(self, webservice: Webservice) -> str | None:
        """Tell why the records of a web service cannot be listed or would go nowhere, if that is so."""
        if webservice.password is None:
            return f"the web service {webservice.name} has no password in the routes file, so doForms cannot be asked"
        if not self._active.plan(webservice, Event.CREATE).routes:
            return f"no route takes new records of the web service {webservice.name}"
        return None

    async def compare(self, webservice: Webservice, begin: datetime, end: datetime) -> AsyncGenerator[Compared, None]:
        """Yield, the oldest first, what doForms received from ``begin`` to before ``end``, with what is not known.

        Raises:
            NotListed: it cannot go on now.
        """

        async def ask(begin: datetime, end: datetime, skip: int) -> Sequence[ListedRecord]:
            return await self._ask(webservice, begin, end, skip)

        try:
            async with aclosing(walk(ask, begin, end)) as pages:
                async for page in pages:
                    yield await self._compare(webservice, page)
        except DoformsError as error:
            wait = error.retry_after if isinstance(error, Later) else None
            text = f"what doForms received for the web service {webservice.name} cannot be listed: {error}"
            raise NotListed(text, retry_after=wait) from error

    async def _ask(self, webservice: Webservice, begin: datetime, end: datetime, skip: int) -> Sequence[ListedRecord]:
        """Ask for a listing, again after a while if it fails: of hundreds a single one must not cost all before it."""
        for wait in _AGAIN:
            try:
                return await self._ask_once(webservice, begin, end, skip)
            except (Later, NotAListing) as error:
                wished = error.retry_after if isinstance(error, Later) else None
                if (wished or 0.0) > _LONGEST:
                    raise
                log.info("listing failed; asking again", webservice=webservice.name, error=str(error))
                await asyncio.sleep(wait if wished is None else wished)
        return await self._ask_once(webservice, begin, end, skip)

    async def _ask_once(
        self, webservice: Webservice, begin: datetime, end: datetime, skip: int
    ) -> Sequence[ListedRecord]:
        if (paused := self._pauses.reason(Kind.WEBSERVICE, webservice.id)) is not None:
            raise self._paused(webservice, paused)
        account = self._active.account(webservice)
        try:
            found = await self._calls.list_submissions(account, webservice, begin, end, skip=skip)
        except NotCalled as told:
            raise self._paused(webservice, told) from None
        except Forbidden as error:  # of the listing alone: records may be read all the same
            raise NotListed(f"the web service {webservice.name} may not list what doForms received: {error}") from error
        except (Unauthorised, Quota, WrongApi) as error:
            await pause_refused(self._pauses, self._active, webservice, error)
            raise self._paused(webservice, error) from error
        await self._pauses.worked(Kind.WEBSERVICE, webservice.id)
        return found

    def _paused(self, webservice: Webservice, why: object) -> NotListed:
        remedy = self._pauses.remedy(Kind.WEBSERVICE, webservice.id, called=webservice.name)
        text = f"the web service {webservice.name} is paused: {why}"
        return NotListed(f"{text}. {remedy}" if remedy else text, told=True)

    async def _compare(self, webservice: Webservice, page: Page) -> Compared:
        records = {record.key: record for record in page.records}  # a line that comes twice counts once
        keys = set(records)
        known = await self._store.read(lambda c: admit.known(c, webservice.account, keys))
        return Compared(
            begin=page.begin,
            end=page.end,
            last=page.last,
            listed=list(records.values()),
            unknown=[record for key, record in records.items() if key not in known],
            doubt=await self._doubt(webservice, page, keys) if page.last and len(page.records) < MOST else None,
        )

    async def _doubt(self, webservice: Webservice, page: Page, listed: set[str]) -> Doubt | None:
        """Tell why a window's listing is too short to be true, by the notifications that came.

        Either more records came than it has, or some that surely came in that window, and not in one beside it, are not
        in it.
        """
        received = await self._told_of(webservice, page, _BOUNDARY)
        if len(listed) >= len(received):
            received = await self._told_of(webservice, page, _SURELY, apart=_SURELY)
        lacking = sorted(received.keys() - listed)
        if not lacking:
            return None
        text = (
            f"doForms lists {len(listed)} records that it received from {_say(page.begin)} to {_say(page.end)}, but "
            f"notifications of {len(received)} new ones came in that time. Not listed: {', '.join(lacking[:3])}"
            f"{', …' if len(lacking) > 3 else ''}. Nothing is concluded from that: either the listing is not whole, or "
            "they were deleted at doForms without a notification"
        )
        return Doubt(text=text, lacking={key: received[key] for key in lacking})

    async def _told_of(
        self, webservice: Webservice, page: Page, inside: timedelta, *, apart: timedelta | None = None
    ) -> dict[str, datetime]:
        """Return the new records of a window that notifications told of and when, but for those near its ends."""
        begin, end = to_store(page.begin + inside), to_store(page.end - inside)
        if begin >= end:
            return {}
        most_apart = None if apart is None else micros(apart.total_seconds())
        found = await self._store.read(
            lambda c: watermarks.said_to_be_created(c, webservice.id, begin, end, most=MOST, apart=most_apart)
        )
        return {key: from_store(at) for key, at in found.items()}

    async def let_in(self, webservice: Webservice, records: Sequence[ListedRecord]) -> list[str]:
        """Let in those of the records that are still unknown; returns their keys.

        Raises:
            NotListed: there is no room for more, or no route takes them any more.
        """
        let_in: list[str] = []
        if records:
            await self._look_for_room()
        for start in range(0, len(records), admit.AT_ONCE):
            items = list(self._keeps(webservice, records[start : start + admit.AT_ONCE]))
            kept = await self._store.let_in(items)
            let_in += [str(item.notification.record_key) for item in kept]
        return let_in

    def _keeps(self, webservice: Webservice, records: Sequence[ListedRecord]) -> Iterator[Keep]:
        for record in records:
            try:
                notification = stand_in(webservice.id, record, datetime.now(UTC))
            except NotANotification as error:
                log.error(
                    "a listed record cannot be kept", webservice=webservice.name, record=record.key, error=str(error)
                )
                continue
            decided = plan_rematch(self._active, notification)
            if not decided.matched:
                raise NotListed(f"no route takes new records of the web service {webservice.name} any more")
            yield replace(decided, reason=REASON, report=False)

    async def _look_for_room(self) -> None:
        """Leave room for what doForms sends: raises NotListed."""
        await self._backlog.count()
        routes, free = self._active.routes, await self._store.free()
        if self._backlog.size >= routes.backlog_limit / _SHARE_OF_BACKLOG:
            raise NotListed(
                f"{self._backlog.size} deliveries wait already: records are let in again below half of backlog_limit"
            )
        if free is not None and free < routes.min_free_disk * _SHARE_OF_DISK:
            raise NotListed("the disk of the store is nearly full: records are let in again at twice min_free_disk")


def _say(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
