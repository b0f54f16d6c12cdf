"""The client for doForms: makes calls within the limits of each account, counts them, slows down after a 429."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import httpx

from gateway.calls.account_limits import TOO_MANY, AccountLimits, LocalSlots, Priority
from gateway.calls.buckets import TokenBucket, account_rate
from gateway.calls.counters import CallCounts, CallKind
from gateway.calls.outage import OutageDetector
from gateway.calls.shared_buckets import shared_bucket
from gateway.calls.slots import DatabaseSlotStore, SharedSlots
from gateway.config.loaded import Account, Webservice, notifications_of
from gateway.doforms.client import Credentials, DoformsClient
from gateway.doforms.download import Downloaded, Target, Wanted
from gateway.doforms.failures import Later, NoAnswer
from gateway.doforms.listing import MOST, ListedRecord
from gateway.errors import DoformsError, without_trace
from gateway.log import Mask
from gateway.models import Outcome, RecordKind
from gateway.store.engine import rates
from gateway.store.store import Store
from gateway.store.work import record_ids

R = TypeVar("R")

_PAUSE_AFTER_429 = 5.0
"""Seconds without a call to an account that answered "too many", if it names no time itself."""


class NotCalled(Exception):
    """The call was not made: its web service was paused while the call waited for its turn; the text says why."""


class LeaseLost(Exception):
    """The call was not made: what it was to be made for is not held any more."""


class AccountClient:
    """Makes calls within the limits of their account, few of them while ``steps_back()``.

    ``paused`` returns why no call may be made in a web service's name (its id), if that is so: whoever waited for a
    turn meanwhile hears `NotCalled`.
    ``mask`` knows the secrets that the text of an error must not tell, though doForms may repeat them.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        store: Store,
        *,
        mask: Mask | None = None,
        steps_back: Callable[[], bool] = lambda: False,
        paused: Callable[[str], str | None] = lambda webservice_id: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self.mask = mask or Mask()
        self._client = DoformsClient(http=http, hide=self.mask.text)
        self._steps_back = steps_back
        self._paused = paused
        self._counts = CallCounts(store)
        self.outages = OutageDetector(store, clock)
        self._limits: dict[str, tuple[tuple[int, int], AccountLimits]] = {}
        self._slots: dict[str, tuple[DatabaseSlotStore, SharedSlots]] = {}

    def of(self, account: Account, webservice: Webservice, priority: Priority) -> WebserviceClient:
        """Return a client that calls in the name of one web service."""
        return WebserviceClient(self, account, webservice, priority)

    async def aclose(self) -> None:
        """Write what was counted, and let other processes have this one's slots; no call is made any more."""
        await self._client.aclose()
        for _, slots in self._slots.values():
            await slots.close()
        await self._counts.close()

    async def fetch(
        self,
        account: Account,
        webservice: Webservice,
        kind: RecordKind,
        key: str,
        *,
        take: Callable[[bytes], Awaitable[R]],
        may: Callable[[], None] = lambda: None,
        priority: Priority = Priority.FETCH,
    ) -> R:
        """Fetch a record by its key or id, and return what ``take`` makes of it.

        The turn lasts until then, so that no more records wait to be taken apart than may be fetched at once. ``may``
        is called when the turn has come, and raises where the record must not be fetched now.

        Raises:
            DoformsError: as `DoformsClient.fetch` and ``take`` raise it.
        """
        async with self._turn(account, webservice, CallKind.FETCH, priority, may):
            body = await self._client.fetch(_credentials(account, webservice), kind, key)
            try:
                return await take(body)
            except DoformsError as error:
                refused = without_trace(error)  # the call itself has worked
            del body
        try:
            raise refused
        finally:
            del refused

    async def download(
        self,
        account: Account,
        webservice: Webservice,
        path: str,
        target: Target,
        wanted: Wanted,
        *,
        priority: Priority = Priority.ATTACHMENT,
    ) -> Downloaded:
        """Download an attachment; raises what `DoformsClient.download` raises."""
        async with self._turn(account, webservice, CallKind.DOWNLOAD, priority):
            return await self._client.download(_credentials(account, webservice), path, target, wanted)

    async def list_submissions(
        self,
        account: Account,
        webservice: Webservice,
        begin: datetime,
        end: datetime,
        *,
        skip: int = 0,
        limit: int = MOST,
        priority: Priority = Priority.BACKFILL,
    ) -> list[ListedRecord]:
        """List what doForms received in a window, and learn the ids; raises what the client raises."""
        async with self._turn(account, webservice, CallKind.LISTING, priority):
            credentials = _credentials(account, webservice)
            listed = await self._client.list_submissions(credentials, begin, end, skip=skip, limit=limit)
        if pairs := {record.key: record.id for record in listed if record.id}:
            await self._store.write(lambda connection: record_ids.learn(connection, account.name, pairs))
        return listed

    async def report(
        self, account: Account, webservice: Webservice, key: str, outcome: Outcome, *, may_send: Callable[[], bool]
    ) -> None:
        """Report an outcome if ``may_send`` says so when its turn has come.

        Raises:
            LeaseLost: it said no.
            Gone, Refused, Unauthorised, Quota, Later: see `gateway.doforms.failures`.
        """

        def may() -> None:
            if not may_send():
                raise LeaseLost

        async with self._turn(account, webservice, CallKind.REPORT, Priority.REPORT, may):
            await self._client.report(_credentials(account, webservice), key, outcome)

    @asynccontextmanager
    async def _turn(
        self,
        account: Account,
        webservice: Webservice,
        kind: CallKind,
        priority: Priority,
        may: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[None]:
        """Hold a slot of the account while a call is made, and count it; after a 429 or silence others wait."""
        limits = self._of(account)
        async with limits.slot(priority):
            began = self._clock()
            if (why := self._paused(webservice.id)) is not None:
                raise NotCalled(why)
            may()
            try:
                yield
            except BaseException as error:
                self._counts.count(webservice.id, kind, error)
                error.args = tuple(map(self.mask.data, error.args))
                if isinstance(error, DoformsError):
                    await self._slow_down(account, limits, error, began)
                raise
            self._counts.count(webservice.id, kind)
            self.outages.answered(account.name)

    def _of(self, account: Account) -> AccountLimits:
        wanted = (account.requests_per_minute, account.max_in_flight)
        known, limits = self._limits.get(account.name, (None, None))
        if limits is None:
            limits = AccountLimits(
                requests_per_minute=wanted[0], max_in_flight=wanted[1], clock=self._clock, steps_back=self._steps_back
            )
        if known != wanted:  # new, or changed by a reload; calls that are under way still count
            self._set(account, limits, new=known is None)
            self._limits[account.name] = (wanted, limits)
        return limits

    def _set(self, account: Account, limits: AccountLimits, *, new: bool) -> None:
        if self._store.database.shared:
            rate = account_rate(account.requests_per_minute)
            limits.bucket = shared_bucket(self._store, _rate_of(account), rate, on_more=limits.more, bundles=True)
            limits.slots = self._shared_slots(account, limits)
        elif not new:
            limits.bucket = TokenBucket(account_rate(account.requests_per_minute), self._clock)
            limits.slots = LocalSlots(account.max_in_flight)

    def _shared_slots(self, account: Account, limits: AccountLimits) -> SharedSlots:
        if account.name not in self._slots:
            slot_store = DatabaseSlotStore(self._store, account.name, account.max_in_flight)
            self._slots[account.name] = slot_store, SharedSlots(slot_store, clock=self._clock, on_more=limits.more)
        slot_store, slots = self._slots[account.name]
        slot_store.most = account.max_in_flight
        return slots

    async def _slow_down(self, account: Account, limits: AccountLimits, error: DoformsError, began: float) -> None:
        """Make the calls after one that failed wait, if doForms said so or does not answer any more."""
        if isinstance(error, NoAnswer):
            if (pause := await self.outages.unanswered(account.name, began, error)) > 0:
                limits.pause(pause, "doForms does not answer")
            return
        if not isinstance(error, Later) or error.status is not None:
            self.outages.answered(account.name)
        if not (isinstance(error, Later) and error.too_many):
            return
        pause = error.retry_after or _PAUSE_AFTER_429
        limits.pause(pause, TOO_MANY)
        await self.outages.waits(account.name, pause)
        if self._store.database.shared:
            await self._store.write(lambda c: rates.stop(c, _rate_of(account), pause))


@dataclass(frozen=True, slots=True)
class WebserviceClient:
    """Makes calls in the name of one web service, at one priority; raises what `AccountClient` raises."""

    _client: AccountClient
    account: Account
    webservice: Webservice
    priority: Priority

    @property
    def mask(self) -> Mask:
        """The secrets that the text of an error must not tell."""
        return self._client.mask

    async def fetch(
        self,
        kind: RecordKind,
        key: str,
        *,
        take: Callable[[bytes], Awaitable[R]],
        may: Callable[[], None] = lambda: None,
    ) -> R:
        """Fetch a record by its key or id, and return what ``take`` makes of it."""
        return await self._client.fetch(
            self.account, self.webservice, kind, key, take=take, may=may, priority=self.priority
        )

    async def download(self, path: str, target: Target, wanted: Wanted) -> Downloaded:
        """Download an attachment."""
        return await self._client.download(self.account, self.webservice, path, target, wanted, priority=self.priority)

    async def list_submissions(
        self, begin: datetime, end: datetime, *, skip: int = 0, limit: int = MOST
    ) -> list[ListedRecord]:
        """List what doForms received in a window."""
        return await self._client.list_submissions(
            self.account, self.webservice, begin, end, skip=skip, limit=limit, priority=self.priority
        )

    async def report(self, key: str, outcome: Outcome, *, may_send: Callable[[], bool]) -> None:
        """Report an outcome if ``may_send`` says so when its turn has come."""
        await self._client.report(self.account, self.webservice, key, outcome, may_send=may_send)


def _rate_of(account: Account) -> str:
    return f"account {account.name}"


def _credentials(account: Account, webservice: Webservice) -> Credentials:
    assert webservice.password is not None, "calls are made for web services with a password only"
    return Credentials(
        api=webservice.api or account.api,
        notifications=notifications_of(webservice, account),
        webservice_id=webservice.id,
        password=webservice.password,
        proxy=account.proxy,
        attachment_hosts=account.attachment_hosts,
    )
