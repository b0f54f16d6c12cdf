"""Calls to doForms on behalf of web services: one client, one set of limits for each account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import httpx

from gateway.delivery.shared_pace import shared_pace
from gateway.doforms.client import Credentials, DoformsClient
from gateway.doforms.download import Downloaded, Target, Wanted
from gateway.doforms.failures import Later
from gateway.doforms.limits import AccountLimits, Priority, burst_of
from gateway.doforms.listing import MOST, ListedRecord
from gateway.models import Outcome, RecordKind
from gateway.routing.loaded import Account, Webservice
from gateway.store import rates
from gateway.store.store import Store

_PAUSE_AFTER_429 = 5.0
"""Seconds without a call to an account that answered "too many", if it names no time itself."""


class LeaseLost(Exception):
    """The call was not made: what it was to be made for is not held any more."""


class Calls:
    """Makes calls within the limits of their account."""

    def __init__(self, http: httpx.AsyncClient, store: Store) -> None:
        self._client = DoformsClient(http=http)
        self._store = store
        self._limits: dict[str, tuple[tuple[int, int], AccountLimits]] = {}

    async def fetch(
        self, account: Account, webservice: Webservice, kind: RecordKind, key: str, *, urgent: bool = False
    ) -> bytes:
        """Fetch a record; raises what `DoformsClient.fetch` raises."""
        async with self._turn(account, Priority.IMMEDIATE_FETCH if urgent else Priority.FETCH):
            return await self._client.fetch(_credentials(account, webservice), kind, key)

    async def download(
        self, account: Account, webservice: Webservice, path: str, target: Target, wanted: Wanted
    ) -> Downloaded:
        """Download an attachment; raises what `DoformsClient.download` raises."""
        async with self._turn(account, Priority.ATTACHMENT):
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
        """List what doForms received in a window; raises what `DoformsClient.list_submissions` raises."""
        async with self._turn(account, priority):
            credentials = _credentials(account, webservice)
            return await self._client.list_submissions(credentials, begin, end, skip=skip, limit=limit)

    async def report(
        self, account: Account, webservice: Webservice, key: str, outcome: Outcome, *, may_send: Callable[[], bool]
    ) -> None:
        """Report an outcome if ``may_send`` says so when its turn has come.

        Raises:
            LeaseLost: it said no.
            Gone, Refused, Unauthorised, Quota, Later: see `gateway.doforms.failures`.
        """
        async with self._turn(account, Priority.REPORT):
            if not may_send():
                raise LeaseLost
            await self._client.report(_credentials(account, webservice), key, outcome)

    @asynccontextmanager
    async def _turn(self, account: Account, priority: Priority) -> AsyncIterator[None]:
        """Hold a slot of the account while a call is made; a 429 makes the calls after it wait."""
        limits = self._of(account)
        async with limits.slot(priority):
            try:
                yield
            except Later as error:
                await self._slow_down(account, limits, error)
                raise

    def _of(self, account: Account) -> AccountLimits:
        wanted = (account.requests_per_minute, account.max_in_flight)
        known, limits = self._limits.get(account.name, (None, None))
        if limits is None or known != wanted:  # new, or changed by a reload
            limits = self._make(account)
            self._limits[account.name] = (wanted, limits)
        return limits

    def _make(self, account: Account) -> AccountLimits:
        per_minute = account.requests_per_minute
        limits = AccountLimits(requests_per_minute=per_minute, max_in_flight=account.max_in_flight)
        if self._store.database.shared:
            limits.bucket = shared_pace(
                self._store,
                _rate_of(account),
                per_second=per_minute / 60,
                burst=burst_of(per_minute),
                on_more=limits.more,
            )
        return limits

    async def _slow_down(self, account: Account, limits: AccountLimits, error: Later) -> None:
        if error.status != httpx.codes.TOO_MANY_REQUESTS:
            return
        pause = error.retry_after or _PAUSE_AFTER_429
        limits.pause(pause)
        if self._store.database.shared:
            await self._store.write(lambda c: rates.stop(c, _rate_of(account), pause))


def _rate_of(account: Account) -> str:
    return f"account {account.name}"


def _credentials(account: Account, webservice: Webservice) -> Credentials:
    assert webservice.password is not None, "calls are made for web services with a password only"
    return Credentials(api=webservice.api or account.api, webservice_id=webservice.id, password=webservice.password)
