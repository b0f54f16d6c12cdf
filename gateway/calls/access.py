"""In whose name doForms is called for a notification, and what waits while it cannot be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NoReturn

from gateway.calls.account_limits import Priority
from gateway.calls.bulkhead import AccountBulkheads, CallQueue
from gateway.calls.client import NotCalled
from gateway.calls.stagger import Stagger
from gateway.config.loaded import Webservice
from gateway.doforms.failures import Paused, Quota, Unauthorised, WrongApi
from gateway.doforms.synthetic import is_stand_in
from gateway.models import Notification, ReasonCode
from gateway.pauses import WRONG_API_FOR, Cause, Kind, Pauses
from gateway.retry import Deferred
from gateway.routing.active import ActiveRoutes
from gateway.store.store import Store
from gateway.store.work.records import KeptNotification

NOT_NOW = (Unauthorised, Quota, Paused, WrongApi, NotCalled)
"""How a call fails that says nothing of what it was made for: it cannot be made in this web service's name now."""
_PUT_OFF = 60.0
"""Seconds until a delivery looks again whether its web service goes on."""
_UNKNOWN = 600
"""Looks a minute for a web service that is not in the routes file."""
_PATIENCE = 1.0
"""Seconds that what came by a notification waits for a place at most, in the room of its destination."""


def turn_of(notification: Notification, *, urgent: bool) -> Priority:
    """Return whose turn it is to have a notification's record fetched; ``urgent``: a request waits for it."""
    if urgent:
        return Priority.IMMEDIATE_FETCH
    return Priority.BACKFILL if is_stand_in(notification) else Priority.FETCH


async def pause_refused(
    pauses: Pauses, active: ActiveRoutes, webservice: Webservice, error: Unauthorised | Quota | WrongApi
) -> bool:
    """Pause a web service whose password is not accepted, whose quota is used up or whose address is wrong.

    False: nothing was paused, because what was refused, the password or the address, is an old one.
    """
    if isinstance(error, Quota):
        until: datetime | None = error.until
        await pauses.pause(
            Kind.WEBSERVICE, webservice.id, str(error), cause=Cause.QUOTA, until=until, called=webservice.name
        )
        return True
    if active.webservice(webservice.id) != webservice:
        return False
    wrong_api = isinstance(error, WrongApi)
    cause = Cause.WRONG_API if wrong_api else Cause.UNAUTHORISED
    until = datetime.now(UTC) + WRONG_API_FOR if wrong_api else None
    await pauses.pause(Kind.WEBSERVICE, webservice.id, str(error), cause=cause, until=until, called=webservice.name)
    return True


class WebserviceAccess:
    """Finds web services for what waits, and puts off what waits for them; that spends nothing of its retries."""

    def __init__(self, *, store: Store, active: ActiveRoutes, pauses: Pauses) -> None:
        self._store = store
        self._active = active
        self._pauses = pauses
        self._lines = Stagger(store)
        self._places = AccountBulkheads(store)

    def caller(self, kept: KeptNotification) -> Webservice:
        """Return the web service in whose name to call; raises Deferred where that cannot be done now."""
        ident = kept.notification.webservice_id
        webservice = self._active.webservice(ident)
        if webservice is None or webservice.password is None:
            missing = "is not in the routes file" if webservice is None else "has no password in the routes file"
            self._wait(ident, f"{ident!r} {missing}")
        if (paused := self._pauses.reason(Kind.WEBSERVICE, ident)) is not None:
            self._is_paused(webservice, paused)
        self._lines.end(ident)
        return webservice

    async def put_off(self, webservice: Webservice, error: Exception) -> NoReturn:
        """Put off what needed a call that failed with one of `NOT_NOW`; pause a web service that may make none."""
        if isinstance(error, Paused):
            self._account_waits(webservice, error)
        if isinstance(error, Unauthorised | Quota | WrongApi):
            paused = await pause_refused(self._pauses, self._active, webservice, error)
            if not paused:
                raise _waits(
                    webservice.id, self._store.now(), f"{webservice.name} was loaded again meanwhile"
                ) from error
        self._is_paused(webservice, error)

    def _is_paused(self, webservice: Webservice, why: object) -> NoReturn:
        self._wait(webservice.id, f"{webservice.name} is paused: {why}")

    @asynccontextmanager
    async def in_line(self, notification: Notification, line: CallQueue) -> AsyncIterator[None]:
        """Hold a place among those of its account that wait for their calls; raises Deferred where there is none."""
        webservice = self._active.webservice(notification.webservice_id)
        if webservice is None:
            yield
            return
        account, backfilled = self._active.account(webservice), is_stand_in(notification)
        patience = 0.0 if backfilled else _PATIENCE
        async with self._places.hold(account, line, backfilled=backfilled, patience=patience):
            yield

    def _account_waits(self, webservice: Webservice, error: Paused) -> NoReturn:
        account = self._active.account(webservice)
        until = self._lines.next(f"account {account.name}", error.retry_after or 0.0, account.requests_per_minute)
        reason = f"the web service {webservice.name} waits for its account {account.name}: {error}"
        raise Deferred(until, reason, code=ReasonCode.ACCOUNT_WAITS, subject=account.name)

    def _wait(self, webservice_id: str, why: str) -> NoReturn:
        webservice = self._active.webservice(webservice_id)
        a_minute = _UNKNOWN if webservice is None else self._active.account(webservice).requests_per_minute
        raise _waits(webservice_id, self._lines.next(webservice_id, _PUT_OFF, a_minute), why)


def _waits(webservice_id: str, until: int, why: str) -> Deferred:
    return Deferred(until, f"the web service {why}", code=ReasonCode.WEBSERVICE_WAITS, subject=webservice_id)
