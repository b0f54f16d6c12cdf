"""In whose name doForms is called for a notification, and what waits while it cannot be."""

from __future__ import annotations

from typing import NoReturn

from gateway.delivery.current import Current
from gateway.delivery.pauses import Cause, Kind, Pauses
from gateway.delivery.put_off import PutOff
from gateway.doforms.failures import Paused, Quota, Unauthorised
from gateway.routing.loaded import Webservice
from gateway.store.causes import WEBSERVICE_WAITS
from gateway.store.clock import micros
from gateway.store.records import KeptNotification
from gateway.store.store import Store

_PUT_OFF = 60.0
"""Seconds until a delivery looks again whether its web service goes on."""
_UNKNOWN = 600
"""Looks a minute for a web service that is not in the routes file."""


async def pause_refused(pauses: Pauses, current: Current, webservice: Webservice, error: Unauthorised | Quota) -> bool:
    """Pause a web service whose password is not accepted or whose quota is used up.

    False: nothing was paused, because the password that was refused is an old one.
    """
    if isinstance(error, Quota):
        await pauses.pause(Kind.WEBSERVICE, webservice.id, str(error), cause=Cause.QUOTA, until=error.until)
        return True
    if current.webservice(webservice.id) != webservice:
        return False
    await pauses.pause(Kind.WEBSERVICE, webservice.id, str(error), cause=Cause.UNAUTHORISED)
    return True


class Callers:
    """Finds web services for what waits, and puts off what waits for them; that spends nothing of its retries."""

    def __init__(self, *, store: Store, current: Current, pauses: Pauses) -> None:
        self._store = store
        self._current = current
        self._pauses = pauses
        self._last_look: dict[str, int] = {}

    def caller(self, kept: KeptNotification) -> Webservice:
        """Return the web service in whose name to call; raises PutOff where that cannot be done now."""
        ident = kept.notification.webservice_id
        webservice = self._current.webservice(ident)
        if webservice is None or webservice.password is None:
            missing = "is not in the routes file" if webservice is None else "has no password in the routes file"
            self._wait(ident, f"{ident!r} {missing}")
        if (paused := self._pauses.reason(Kind.WEBSERVICE, ident)) is not None:
            self._wait(ident, f"{webservice.name} is paused: {paused}")
        self._last_look.pop(ident, None)
        return webservice

    async def refused(self, webservice: Webservice, error: Unauthorised | Quota) -> NoReturn:
        """Pause a web service that doForms lets make no calls, and put off what needed one."""
        if not await pause_refused(self._pauses, self._current, webservice, error):
            reason = f"{WEBSERVICE_WAITS}{webservice.name} was loaded again meanwhile"
            raise PutOff(self._store.now(), reason) from error
        self._wait(webservice.id, f"{webservice.name} is paused: {error}")

    def paused(self, webservice: Webservice, error: Paused) -> NoReturn:
        """Put off what needed a call of an account that makes none for some time."""
        until = self._store.now() + micros(error.retry_after or 0.0)
        raise PutOff(until, f"{WEBSERVICE_WAITS}{webservice.name} waits for its account {webservice.account}: {error}")

    def _wait(self, webservice_id: str, why: str) -> NoReturn:
        raise PutOff(self._next_look(webservice_id), f"{WEBSERVICE_WAITS}{why}")

    def _next_look(self, webservice_id: str) -> int:
        """Return when to look again: in a minute, but one after the other, no faster than records can be fetched.

        Looking is work too: a hundred thousand deliveries that all looked once a minute would leave no time for others.
        """
        webservice = self._current.webservice(webservice_id)
        a_minute = _UNKNOWN if webservice is None else self._current.account(webservice).requests_per_minute
        following = self._last_look.get(webservice_id, 0) + micros(60 / a_minute)
        self._last_look[webservice_id] = max(self._store.now() + micros(_PUT_OFF), following)
        return self._last_look[webservice_id]
