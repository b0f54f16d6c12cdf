"""The record behind a notification: fetched once, in order of arrival per record, pinned, then read from the store."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakValueDictionary

import structlog
from sqlalchemy import Connection

from gateway.delivery.calls import Calls
from gateway.delivery.current import Current
from gateway.delivery.fetch_turns import FetchTurns
from gateway.delivery.pauses import Cause, Kind, Pauses
from gateway.delivery.settle import delay, gives_up
from gateway.doforms.failures import Later, Quota, Unauthorised
from gateway.doforms.record import decode_record
from gateway.errors import DoformsError
from gateway.models import Event, FetchState, Record, RecordKind
from gateway.routing.loaded import Account, Webservice
from gateway.store import alarms, records
from gateway.store.causes import WEBSERVICE_WAITS
from gateway.store.clock import SECOND, micros
from gateway.store.records import KeptNotification
from gateway.store.store import Store

log = structlog.get_logger(__name__)

_FIRST_LOOK = 0.02
_LONGEST_LOOK = 0.5
"""Seconds between two looks at a fetch that another process makes."""
ALARM = "record not fetched"
"""The kind of the alarm of a web service whose records could not be fetched."""
_PUT_OFF = 60.0
"""Seconds until a delivery looks again whether its paused web service goes on."""


Saw = Callable[[Webservice, Record], None]
"""Called with each record that was fetched and pinned."""


class PutOff(Exception):
    """The record is not there yet; ``until`` is in the store's time."""

    def __init__(self, until: int, reason: str) -> None:
        super().__init__(reason)
        self.until = until


class GivenUp(Exception):
    """The record could not be fetched, and is not tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What is known of the records that a notification speaks of."""

    record: Record | None = None
    by_kind: dict[RecordKind, Record] = field(default_factory=dict)
    known: bool = False
    """Whether ``record`` has been fetched, now or for an earlier notification."""


class FetchDesk:
    """Where deliveries ask for the record they need."""

    def __init__(
        self, *, store: Store, current: Current, calls: Calls, pauses: Pauses, saw: Saw = lambda *_: None
    ) -> None:
        self._store = store
        self._current = current
        self._calls = calls
        self._pauses = pauses
        self._saw = saw
        self._running: dict[int, asyncio.Task[None]] = {}
        self._turns = FetchTurns(store)
        self._in_order: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def keep_turns(self) -> None:
        """Renew this process' claims on fetches, until cancelled."""
        await self._turns.keep_renewed()

    async def stop(self) -> None:
        """Break off the calls that are under way."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def records(self, kept: KeptNotification, *, urgent: bool = False) -> Records:
        """Return the records of a notification, fetching and pinning them first if that has not been done.

        Raises:
            PutOff: not yet; ask again later.
            GivenUp: never.
        """
        if kept.notification.event is Event.DELETE:
            return await self._last_known(kept)
        task = self._running.get(kept.id)
        if task is None:
            task = asyncio.create_task(self._fetch_in_order(kept, urgent=urgent))
            self._running[kept.id] = task
            task.add_done_callback(partial(self._ended, kept.id))
        await asyncio.shield(task)
        found = await self._pinned(kept)
        if lacking := self._current.kinds(kept.notification) - found.by_kind.keys():
            # Only after a reload: routes loaded later can need a record that those before did not.
            await self._fetch(kept, urgent=urgent, lacking=lacking)
            found = await self._pinned(kept)
        return found

    def _ended(self, id_: int, task: asyncio.Task[None]) -> None:
        self._running.pop(id_, None)
        if not task.cancelled():
            task.exception()  # looked at: whoever asked may have gone meanwhile

    async def _last_known(self, kept: KeptNotification) -> Records:
        key = kept.notification.record_key
        if key is None:
            return Records()
        found = await self._store.read(lambda c: records.last_pinned(c, kept.account, key, kept.id))
        if found is None:
            return Records()
        record = decode_record(found[1], kind=found[0])
        return Records(record=record, by_kind={found[0]: record}, known=True)

    async def _pinned(self, kept: KeptNotification) -> Records:
        raw = await self._store.read(lambda c: records.pinned(c, kept.id))
        by_kind = {kind: decode_record(body, kind=kind) for kind, body in raw.items()}
        kind = kept.notification.record_kind
        record = by_kind.get(kind) if kind is not None else None
        return Records(record=record, by_kind=by_kind, known=record is not None)

    async def _fetch_in_order(self, kept: KeptNotification, *, urgent: bool) -> None:
        key = kept.notification.record_key
        if key is None:
            await self._fetch(kept, urgent=urgent)
            return
        lock = self._in_order.setdefault((kept.account, key), asyncio.Lock())
        async with lock:
            earlier = await self._store.read(lambda c: records.earlier_due(c, kept.account, key, kept.id))
            for one in earlier:
                try:
                    await self._fetch(one, urgent=urgent)
                except GivenUp:
                    continue
            await self._fetch(kept, urgent=urgent)

    async def _fetch(
        self, kept: KeptNotification, *, urgent: bool, lacking: frozenset[RecordKind] = frozenset()
    ) -> None:
        """Fetch and pin what a notification needs, or still lacks, unless that is done or given up, wherever."""
        wait = _FIRST_LOOK
        while found := await self._look(kept, lacking):
            fresh, webservice = found
            if await self._turns.take(kept.id, fresh.fetch_state):
                break
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_LOOK)
        else:
            return
        kinds = lacking or self._current.kinds(fresh.notification) or {fresh.notification.record_kind}
        try:
            await self._call(fresh, webservice, kinds, urgent=urgent)
        finally:
            await self._turns.give_back(kept.id)

    async def _look(
        self, kept: KeptNotification, lacking: frozenset[RecordKind]
    ) -> tuple[KeptNotification, Webservice] | None:
        """Return what to fetch for and in whose name; None: it was fetched already."""
        fresh = (await self._store.read(lambda c: records.load(c, [kept.id])))[kept.id]
        if fresh.fetch_state is FetchState.GIVEN_UP:
            raise GivenUp(fresh.fetch_reason or "the record could not be fetched")
        if fresh.fetch_state is FetchState.PINNED and not lacking:
            return None
        if fresh.fetch_due_at is not None and not fresh.fetch_held and fresh.fetch_due_at > self._store.now():
            raise PutOff(fresh.fetch_due_at, fresh.fetch_reason or "the record could not be fetched yet")
        webservice = self._current.webservice(fresh.notification.webservice_id)
        if webservice is None or webservice.password is None:
            missing = "is not in the routes file" if webservice is None else "has no password in the routes file"
            raise PutOff(self._soon(), f"{WEBSERVICE_WAITS}{fresh.notification.webservice_id!r} {missing}")
        if (paused := self._pauses.reason(Kind.WEBSERVICE, webservice.id)) is not None:
            raise PutOff(self._soon(), f"{WEBSERVICE_WAITS}{webservice.name} is paused: {paused}")
        return fresh, webservice

    async def _call(
        self, kept: KeptNotification, webservice: Webservice, kinds: Collection[RecordKind | None], *, urgent: bool
    ) -> None:
        account = self._current.account(webservice)
        started = time.monotonic()
        fetched: dict[RecordKind, bytes] = {}
        decoded: list[Record] = []
        try:
            for kind in kinds:
                key = kept.notification.key_of(kind)
                if kind is None or key is None:
                    continue
                body = await self._calls.fetch(account, webservice, kind, key, urgent=urgent)
                decoded.append(decode_record(body, kind=kind))  # a 200 with something else in it is not a record
                fetched[kind] = body
        except Unauthorised as error:
            if self._current.webservice(webservice.id) != webservice:
                raise PutOff(
                    self._store.now(), f"{WEBSERVICE_WAITS}{webservice.name} was loaded again meanwhile"
                ) from error
            await self._pauses.pause(Kind.WEBSERVICE, webservice.id, str(error), cause=Cause.UNAUTHORISED)
            raise PutOff(self._soon(), f"{WEBSERVICE_WAITS}{webservice.name} is paused: {error}") from error
        except Quota as error:
            await self._pauses.pause(Kind.WEBSERVICE, webservice.id, str(error), cause=Cause.QUOTA, until=error.until)
            raise PutOff(self._soon(), f"{WEBSERVICE_WAITS}{webservice.name} is paused: {error}") from error
        except DoformsError as error:
            await self._failed(kept, account, error, time.monotonic() - started)
        else:
            await self._store.write(lambda c: records.pin(c, kept, fetched))
            await self._pauses.worked(Kind.WEBSERVICE, webservice.id)
            for record in decoded:
                self._saw(webservice, record)

    async def _failed(self, kept: KeptNotification, account: Account, error: DoformsError, duration: float) -> None:
        number = kept.fetch_attempts + 1
        spent = kept.fetch_spent / SECOND + duration
        wish = error.retry_after if isinstance(error, Later) else None
        wait = delay(account.fetch_retry, number, jitter=random.random(), wish=wish)
        verdict = gives_up(account.fetch_retry, number=number, spent=spent, wait=wait)
        reason = f"the record could not be fetched: {f'{verdict}: ' if verdict else ''}{error}"
        state = FetchState.GIVEN_UP if verdict else FetchState.DUE
        key, record = kept.notification.key, kept.notification.record_key
        log.warning("fetch failed", notification=key, record=record, attempt=number, reason=reason)

        due_at = self._store.now() + micros(wait)

        def note(connection: Connection) -> bool:
            until = None if verdict else due_at
            records.note_failed_fetch(
                connection, kept.id, state=state, reason=reason, spent=micros(wait + duration), due_at=until
            )
            subject = kept.notification.webservice_id
            return verdict is not None and alarms.raise_alarm(
                connection, ALARM, subject, f"notification {key}: {reason}"
            )

        if await self._store.write(note):
            log.warning("alarm raised", kind=ALARM, subject=kept.notification.webservice_id, text=reason)
        if verdict:
            raise GivenUp(reason)
        raise PutOff(due_at, reason)

    def _soon(self) -> int:
        return self._store.now() + micros(_PUT_OFF)
