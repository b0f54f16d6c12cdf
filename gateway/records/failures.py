"""Decides and notes what follows a failed fetch: put off, or given up."""

from __future__ import annotations

import random
from typing import NoReturn

import structlog

from gateway.alarms.book import AlarmBook, AlarmStep
from gateway.config.loaded import Account
from gateway.doforms.failures import TooLarge
from gateway.errors import DoformsError
from gateway.models import AlarmKind, FetchState, ReasonCode
from gateway.records.finder import NotYet
from gateway.retry import Deferred, GivenUp, after_call, next_attempt
from gateway.store.engine.transaction_time import SECOND, micros
from gateway.store.store import Store
from gateway.store.work import fetches
from gateway.store.work.records import KeptNotification

log = structlog.get_logger(__name__)

_REMEDY = (
    "This is the last one. Look for it at doForms; `gateway deliveries replay --error 'could not be fetched'` fetches "
    "again whatever is dead for it"
)
_MOMENT = 1.0
"""Seconds until a record that could not be found is looked for once more; no longer than the first wait of retries."""


class FetchFailures:
    """Each function raises `Deferred` or `GivenUp`."""

    def __init__(self, *, store: Store) -> None:
        self._store = store
        self._alarms = AlarmBook(store)

    async def not_yet(self, kept: KeptNotification, account: Account, told: NotYet, duration: float) -> NoReturn:
        """Put off a record that could not be found at first; the look after a moment belongs to the same attempt."""
        wait = min(_MOMENT, account.fetch_retry.first)
        reason = f"the record could not be found yet: {told}"
        log.info("record not found yet", notification=kept.notification.key, record=kept.notification.record_key)
        await self._put_off(kept, reason, wait=wait, duration=duration, counted=False)

    async def left(self, kept: KeptNotification, account: Account, why: str) -> None:
        """Put off a fetch whose process died amid it, unless another process has; it is not given up for that alone.

        Its process was at work on much else, too. See `gateway.delivery.deaths`.
        """
        jitter = random.random()  # nosec B311
        wait = next_attempt(account.fetch_retry, attempts=kept.fetch_attempts, spent=0.0, jitter=jitter).wait
        reason = f"the record could not be fetched yet: {why}"
        due_at = await self._store.write(lambda c: fetches.note_left(c, kept.id, reason=reason, wait=micros(wait)))
        if due_at is not None:
            log.warning("a process died amid a fetch", notification=kept.notification.key)
            raise Deferred(due_at, reason)

    async def failed(self, kept: KeptNotification, account: Account, error: DoformsError, duration: float) -> NoReturn:
        """Put off a fetch that failed, by the account's ``fetch_retry``, or give it up."""
        spent = kept.fetch_spent / SECOND + duration
        following = after_call(account.fetch_retry, error, attempts=kept.fetch_attempts, spent=spent)
        verdict = following.verdict if not isinstance(error, TooLarge) else "given up at once"
        reason = f"the record could not be fetched: {f'{verdict}: ' if verdict else ''}{error}"
        key, record = kept.notification.key, kept.notification.record_key
        log.warning("fetch failed", notification=key, record=record, attempt=following.number, reason=reason)
        if verdict is None:
            await self._put_off(kept, reason, wait=following.wait, duration=duration, counted=following.counted)
        await self._give_up(kept, reason, spent=following.wait + duration)

    async def _put_off(
        self, kept: KeptNotification, reason: str, *, wait: float, duration: float, counted: bool
    ) -> NoReturn:
        due_at = self._store.now() + micros(wait)
        await self._store.write(
            lambda c: fetches.note_failed(
                c,
                kept.id,
                state=FetchState.DUE,
                reason=reason,
                spent=micros(wait + duration),
                due_at=due_at,
                counted=counted,
            )
        )
        raise Deferred(due_at, reason)

    async def _give_up(self, kept: KeptNotification, reason: str, *, spent: float) -> NoReturn:
        subject = kept.notification.webservice_id
        text = f"notification {kept.notification.key}: {reason}. {_REMEDY}"

        def note(step: AlarmStep) -> None:
            state = FetchState.GIVEN_UP
            fetches.note_failed(step.connection, kept.id, state=state, reason=reason, spent=micros(spent))
            step.raise_alarm(AlarmKind.RECORD_NOT_FETCHED, subject, text)

        await self._alarms.write(note)
        raise GivenUp(reason, ReasonCode.RECORD_NOT_FETCHED)
