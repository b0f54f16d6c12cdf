"""Decides which web service may call doForms now, and puts off what needs one that may not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NoReturn

import structlog

from gateway.calls.client import NotCalled
from gateway.calls.stagger import Stagger
from gateway.config.loaded import Webservice
from gateway.doforms.failures import Paused, Quota, Unauthorised, WrongApi
from gateway.models import ReasonCode
from gateway.pauses import WRONG_API_FOR, Cause, Kind, Pauses
from gateway.retry import Deferred
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.database import describe
from gateway.store.store import Store

log = structlog.get_logger(__name__)

NOT_NOW = (Unauthorised, Quota, Paused, WrongApi, NotCalled)
"""How a call fails that says nothing of what it was made for: it cannot be made in this web service's name now."""
_PUT_OFF = 60.0
"""Seconds until a delivery looks again whether its web service goes on."""
_UNKNOWN = 600
"""Looks a minute for a web service that is not in the routes file."""


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
    """Finds the web service for a call, and puts off what waits for it; that spends nothing of its retries."""

    def __init__(self, *, store: Store, active: ActiveRoutes, pauses: Pauses) -> None:
        self._store = store
        self._active = active
        self._pauses = pauses
        self._stagger = Stagger(store)

    def caller(self, webservice_id: str) -> Webservice:
        """Return the web service in whose name to call; raises Deferred where that cannot be done now."""
        webservice = self._active.webservice(webservice_id)
        if webservice is None or webservice.password is None:
            missing = "is not in the routes file" if webservice is None else "has no password in the routes file"
            self._wait(webservice_id, f"{webservice_id!r} {missing}")
        if (paused := self._pauses.reason(Kind.WEBSERVICE, webservice_id)) is not None:
            self._is_paused(webservice, paused)
        self._stagger.end(webservice_id)
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

    async def worked(self, webservice: Webservice) -> None:
        """Note that a call worked: a pause that waited for that ends.

        Where that cannot be written, whatever the call was made for goes on all the same; the next call notes it.
        """
        try:
            await self._pauses.worked(Kind.WEBSERVICE, webservice.id)
        except Exception as error:
            log.warning("the end of a pause could not be written", webservice=webservice.name, error=describe(error))

    def _is_paused(self, webservice: Webservice, why: object) -> NoReturn:
        self._wait(webservice.id, f"{webservice.name} is paused: {why}")

    def _account_waits(self, webservice: Webservice, error: Paused) -> NoReturn:
        account = self._active.account(webservice)
        until = self._stagger.next(f"account {account.name}", error.retry_after or 0.0, account.requests_per_minute)
        reason = f"the web service {webservice.name} waits for its account {account.name}: {error}"
        raise Deferred(until, reason, code=ReasonCode.ACCOUNT_WAITS, subject=account.name)

    def _wait(self, webservice_id: str, why: str) -> NoReturn:
        webservice = self._active.webservice(webservice_id)
        a_minute = _UNKNOWN if webservice is None else self._active.account(webservice).requests_per_minute
        raise _waits(webservice_id, self._stagger.next(webservice_id, _PUT_OFF, a_minute), why)


def _waits(webservice_id: str, until: int, why: str) -> Deferred:
    return Deferred(until, f"the web service {why}", code=ReasonCode.WEBSERVICE_WAITS, subject=webservice_id)
