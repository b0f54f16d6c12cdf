"""In whose name doForms is called for a notification, and what waits while it cannot be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import NoReturn

from gateway.delivery.calls import NotCalled
from gateway.delivery.current import Current
from gateway.delivery.lines import Lines
from gateway.delivery.pauses import Cause, Kind, Pauses
from gateway.delivery.places import Places
from gateway.delivery.put_off import PutOff
from gateway.doforms.failures import Paused, Quota, Unauthorised
from gateway.doforms.limits import Priority
from gateway.doforms.stand_in import is_stand_in
from gateway.models import Notification
from gateway.routing.loaded import Account, Webservice
from gateway.store.causes import WEBSERVICE_WAITS
from gateway.store.records import KeptNotification
from gateway.store.store import Store

NOT_NOW = (Unauthorised, Quota, Paused, NotCalled)
"""How a call fails that says nothing of what it was made for: it cannot be made in this web service's name now."""
_PUT_OFF = 60.0
"""Seconds until a delivery looks again whether its web service goes on."""
_UNKNOWN = 600
"""Looks a minute for a web service that is not in the routes file."""
_IN_LINE = 2
"""Places in a line: at least so many for each call that may be under way."""
_LATER = 2.0
"""Seconds until what found no place looks again."""
_MOST_IN_LINE = 512
"""They are held in memory meanwhile, and their leases renewed."""
_PATIENCE = 1.0
"""Seconds that what came by a notification waits for a place, in the room of its destination."""


class Line(StrEnum):
    """What waits for calls of an account."""

    RECORDS = "records"
    ATTACHMENTS = "attachments"


def turn_of(notification: Notification, *, urgent: bool) -> Priority:
    """Return whose turn it is to have a notification's record fetched; ``urgent``: a request waits for it."""
    if urgent:
        return Priority.IMMEDIATE_FETCH
    return Priority.BACKFILL if is_stand_in(notification) else Priority.FETCH


async def pause_refused(pauses: Pauses, current: Current, webservice: Webservice, error: Unauthorised | Quota) -> bool:
    """Pause a web service whose password is not accepted or whose quota is used up.

    False: nothing was paused, because the password that was refused is an old one.
    """
    if isinstance(error, Quota):
        cause, until = Cause.QUOTA, error.until
        await pauses.pause(Kind.WEBSERVICE, webservice.id, str(error), cause=cause, until=until, called=webservice.name)
        return True
    if current.webservice(webservice.id) != webservice:
        return False
    cause = Cause.UNAUTHORISED
    await pauses.pause(Kind.WEBSERVICE, webservice.id, str(error), cause=cause, called=webservice.name)
    return True


class Callers:
    """Finds web services for what waits, and puts off what waits for them; that spends nothing of its retries."""

    def __init__(self, *, store: Store, current: Current, pauses: Pauses) -> None:
        self._store = store
        self._current = current
        self._pauses = pauses
        self._lines = Lines(store)
        self._places: defaultdict[tuple[str, Line, bool], Places] = defaultdict(Places)

    def caller(self, kept: KeptNotification) -> Webservice:
        """Return the web service in whose name to call; raises PutOff where that cannot be done now."""
        ident = kept.notification.webservice_id
        webservice = self._current.webservice(ident)
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
        if isinstance(error, Unauthorised | Quota):
            paused = await pause_refused(self._pauses, self._current, webservice, error)
            if not paused:
                reason = f"{WEBSERVICE_WAITS}{webservice.name} was loaded again meanwhile"
                raise PutOff(self._store.now(), reason) from error
        self._is_paused(webservice, error)

    def _is_paused(self, webservice: Webservice, why: object) -> NoReturn:
        self._wait(webservice.id, f"{webservice.name} is paused: {why}")

    @asynccontextmanager
    async def in_line(self, notification: Notification, line: Line) -> AsyncIterator[None]:
        """Hold a place among those of an account that wait for their calls, backfilled ones in a line of their own.

        There are twice as many as can be called for until who finds none looks again: no call is lost by it, and
        thousands of them stand in nobody's way.

        Raises:
            PutOff: there is no place.
        """
        webservice = self._current.webservice(notification.webservice_id)
        if webservice is None:
            yield
            return
        account, backfilled = self._current.account(webservice), is_stand_in(notification)
        most, places = _most_in_line(account), self._places[account.name, line, backfilled]
        if not await places.take(most, patience=0.0 if backfilled else _PATIENCE):
            what = f"{'backfilled ' if backfilled else ''}{line}"
            until = self._lines.next(f"{what} of {account.name}", _LATER, account.requests_per_minute)
            raise PutOff(until, _no_place(account, line, backfilled=backfilled), in_line=True)
        try:
            yield
        finally:
            places.leave(most)

    def _account_waits(self, webservice: Webservice, error: Paused) -> NoReturn:
        account = self._current.account(webservice)
        until = self._lines.next(f"account {account.name}", error.retry_after or 0.0, account.requests_per_minute)
        raise PutOff(until, f"{WEBSERVICE_WAITS}{webservice.name} waits for its account {account.name}: {error}")

    def _wait(self, webservice_id: str, why: str) -> NoReturn:
        webservice = self._current.webservice(webservice_id)
        a_minute = _UNKNOWN if webservice is None else self._current.account(webservice).requests_per_minute
        raise PutOff(self._lines.next(webservice_id, _PUT_OFF, a_minute), f"{WEBSERVICE_WAITS}{why}")


def _most_in_line(account: Account) -> int:
    worth = int(2 * _LATER * account.requests_per_minute / 60)
    return max(_IN_LINE * account.max_in_flight, min(worth, _MOST_IN_LINE))


def _no_place(account: Account, line: Line, *, backfilled: bool) -> str:
    if backfilled:
        return "backfilled: it waits behind what is live, and those that were backfilled before"
    return f"it waits for its turn: calls for {line} of the account {account.name} that came before go first"
