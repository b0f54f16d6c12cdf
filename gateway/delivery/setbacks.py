"""What becomes of a fetch that did not work: put off, by settings of its own, or given up; noted in the store."""

from __future__ import annotations

import random
from typing import NoReturn

import httpx
import structlog
from sqlalchemy import Connection

from gateway.delivery.current import Current
from gateway.delivery.ladder import NotYet
from gateway.delivery.pauses import Cause, Kind, Pauses
from gateway.delivery.settle import delay, gives_up
from gateway.doforms.failures import Later, Quota, Unauthorised
from gateway.errors import DoformsError
from gateway.models import FetchState
from gateway.routing.loaded import Account, Webservice
from gateway.store import alarms, records
from gateway.store.causes import WEBSERVICE_WAITS
from gateway.store.clock import SECOND, micros
from gateway.store.records import KeptNotification
from gateway.store.store import Store

log = structlog.get_logger(__name__)

ALARM = "record not fetched"
"""The kind of the alarm of a web service whose records could not be fetched."""
_MOMENT = 1.0
"""Seconds until a record that could not be found is looked for once more; no longer than the first wait of retries."""
_PUT_OFF = 60.0
"""Seconds until a delivery looks again whether its paused web service goes on."""


class PutOff(Exception):
    """The record is not there yet; ``until`` is in the store's time."""

    def __init__(self, until: int, reason: str) -> None:
        super().__init__(reason)
        self.until = until


class GivenUp(Exception):
    """The record could not be fetched, and is not tried again."""


class Setbacks:
    """Each function raises `PutOff` or `GivenUp`."""

    def __init__(self, *, store: Store, current: Current, pauses: Pauses) -> None:
        self._store = store
        self._current = current
        self._pauses = pauses

    def waits_for_webservice(self, what: str) -> NoReturn:
        """Put off what waits until doForms can be called in a web service's name; spends nothing of its retries."""
        raise PutOff(self._store.now() + micros(_PUT_OFF), f"{WEBSERVICE_WAITS}{what}")

    async def refused(self, webservice: Webservice, error: Unauthorised) -> NoReturn:
        """Pause a web service whose password is not accepted, unless another one was loaded meanwhile."""
        if self._current.webservice(webservice.id) != webservice:
            reason = f"{WEBSERVICE_WAITS}{webservice.name} was loaded again meanwhile"
            raise PutOff(self._store.now(), reason) from error
        await self._pauses.pause(Kind.WEBSERVICE, webservice.id, str(error), cause=Cause.UNAUTHORISED)
        self.waits_for_webservice(f"{webservice.name} is paused: {error}")

    async def over_quota(self, webservice: Webservice, error: Quota) -> NoReturn:
        """Park a web service until its quota is new."""
        await self._pauses.pause(Kind.WEBSERVICE, webservice.id, str(error), cause=Cause.QUOTA, until=error.until)
        self.waits_for_webservice(f"{webservice.name} is paused: {error}")

    async def not_yet(self, kept: KeptNotification, account: Account, told: NotYet, duration: float) -> NoReturn:
        """Put off a record that could not be found at first; the look after a moment belongs to the same attempt."""
        wait = min(_MOMENT, account.fetch_retry.first)
        reason = f"the record could not be found yet: {told}"
        log.info("record not found yet", notification=kept.notification.key, record=kept.notification.record_key)
        await self._put_off(kept, reason, wait=wait, duration=duration, counted=False)

    async def failed(self, kept: KeptNotification, account: Account, error: DoformsError, duration: float) -> NoReturn:
        """Put off a fetch that failed, by the account's ``fetch_retry``, or give it up.

        "Too many requests" is no attempt: it says nothing about the record.
        """
        counted = not (isinstance(error, Later) and error.status == httpx.codes.TOO_MANY_REQUESTS)
        number = kept.fetch_attempts + (1 if counted else 0)
        spent = kept.fetch_spent / SECOND + duration
        wish = error.retry_after if isinstance(error, Later) else None
        wait = delay(account.fetch_retry, max(1, number), jitter=random.random(), wish=wish)
        verdict = gives_up(account.fetch_retry, number=number, spent=spent, wait=wait)
        reason = f"the record could not be fetched: {f'{verdict}: ' if verdict else ''}{error}"
        key, record = kept.notification.key, kept.notification.record_key
        log.warning("fetch failed", notification=key, record=record, attempt=number, reason=reason)
        if verdict is None:
            await self._put_off(kept, reason, wait=wait, duration=duration, counted=counted)
        await self._give_up(kept, reason, spent=wait + duration)

    async def _put_off(
        self, kept: KeptNotification, reason: str, *, wait: float, duration: float, counted: bool
    ) -> NoReturn:
        due_at = self._store.now() + micros(wait)
        await self._store.write(
            lambda c: records.note_failed_fetch(
                c,
                kept.id,
                state=FetchState.DUE,
                reason=reason,
                spent=micros(wait + duration),
                due_at=due_at,
                counted=counted,
            )
        )
        raise PutOff(due_at, reason)

    async def _give_up(self, kept: KeptNotification, reason: str, *, spent: float) -> NoReturn:
        subject = kept.notification.webservice_id

        def note(connection: Connection) -> bool:
            state = FetchState.GIVEN_UP
            records.note_failed_fetch(connection, kept.id, state=state, reason=reason, spent=micros(spent))
            return alarms.raise_alarm(connection, ALARM, subject, f"notification {kept.notification.key}: {reason}")

        if await self._store.write(note):
            log.warning("alarm raised", kind=ALARM, subject=subject, text=reason)
        raise GivenUp(reason)
