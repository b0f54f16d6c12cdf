"""Fetches the record behind a notification: once, in order of arrival for each record, then pinned in the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

from gateway.calls.account_limits import Priority
from gateway.calls.bulkhead import CallQueue
from gateway.calls.gate import Gate, priority_of
from gateway.config.loaded import Webservice
from gateway.doforms.record import DECODED_HERE, decode_aside
from gateway.errors import DoformsError
from gateway.models import Event, FetchState, ReasonCode, Record, RecordKind
from gateway.records.failures import FetchFailures
from gateway.records.fetch_turns import FetchTurns
from gateway.records.finder import Found, NoRoom, NotYet, RecordFinder, Wanted
from gateway.records.held import Held, HeldRecords
from gateway.records.single_flight import Aside, SingleFlight, Waits
from gateway.retry import Deferred, GivenUp
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.transaction_time import SECOND
from gateway.store.store import Store
from gateway.store.work import fetches, record_ids, records
from gateway.store.work.fetches import Standing
from gateway.store.work.records import KeptNotification

_FIRST_LOOK = 0.02
_LONGEST_LOOK = 0.5
"""Seconds between two looks at a fetch that another process makes."""
_ROOM_AGAIN = 5.0
"""Seconds after which it is looked again whether there is room for a large record."""
_DIED = "the process that fetched it died, or lost its lease"
Saw = Callable[[Webservice, Record], None]
"""Called with each record that was fetched and pinned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What is known of the records that a notification speaks of."""

    record: Record | None = None
    by_kind: dict[RecordKind, Record] = field(default_factory=dict)
    known: bool = False
    """Whether ``record`` has been fetched, now or for an earlier notification."""
    are_large: bool = False
    """Whether going through them takes longer than may be done in the event loop."""
    held: tuple[Held, ...] = ()
    """Counts them as long as they are large and held."""


class RecordFetcher:
    """Where deliveries ask for the record they need."""

    def __init__(
        self,
        *,
        store: Store,
        active: ActiveRoutes,
        gate: Gate,
        saw: Saw = lambda *_: None,
    ) -> None:
        self._store = store
        self._active = active
        self._gate = gate
        self._saw = saw
        self._held = HeldRecords()
        self._finder = RecordFinder(store=store, held=self._held)
        self._failures = FetchFailures(store=store)
        self.unreadable = self._finder.unreadable
        self._single_flight: SingleFlight[Records] = SingleFlight()
        self._turns = FetchTurns(store)
        self._in_order: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def keep_turns(self) -> None:
        """Renew this process' claims on fetches, until cancelled."""
        await self._turns.keep_renewed()

    async def stop(self) -> None:
        """Break off the calls that are under way."""
        await self._single_flight.stop()
        await self._finder.stop()

    async def records(self, kept: KeptNotification, *, urgent: bool = False, aside: Aside = nullcontext) -> Records:
        """Return the records of a notification, fetching and pinning them first if that has not been done.

        ``urgent``: a request waits for it. ``aside`` is entered while it waits for its turn to call doForms, and for
        what comes of that.

        Raises:
            Deferred: not yet; ask again later.
            GivenUp: never.
        """
        if kept.notification.event is Event.DELETE:
            return await self._last_known(kept)
        priority = priority_of(kept.notification, urgent=urgent)
        found = await self._single_flight.ask(
            kept.id, lambda waits: self._fetch_in_line(kept, priority=priority, waits=waits), aside=aside
        )
        if lacking := self._active.kinds(kept.notification) - found.by_kind.keys():
            # Only after a reload: routes loaded later can need a record that those before did not.
            found = await self._fetch(kept, priority=priority, lacking=lacking)
        return found

    async def cut_short(self, kept: KeptNotification, *, deaths: int, why: str) -> str | None:
        """Count the death of a process amid the fetch for a notification, if that is still to be made.

        ``deaths``: of so many in a row. Returns why the record will not be fetched any more, if it was the last try.
        """
        found = (await self._standing(kept)).kept
        webservice = self._active.webservice(kept.notification.webservice_id)
        if found.fetch_state is not FetchState.DUE or webservice is None:
            return None
        counted = replace(found, fetch_attempts=max(found.fetch_attempts, deaths - 1))
        try:
            await self._failures.failed(counted, self._active.account(webservice), DoformsError(why), 0.0)
        except Deferred:
            return None
        except GivenUp as told:
            return str(told)

    async def _last_known(self, kept: KeptNotification) -> Records:
        key = kept.notification.record_key
        if key is None:
            return Records()
        found = await self._store.read(lambda c: records.last_pinned(c, kept.account, key, kept.id))
        if found is not None:
            held = self._hold(len(found[1]) if len(found[1]) > DECODED_HERE else 0)
            try:
                record = await decode_aside(found[1], kind=found[0])
            except DoformsError as error:
                raise GivenUp(f"its last known record cannot be read: {error}") from None
            by_kind = {found[0]: record}
            return Records(record=record, by_kind=by_kind, known=True, are_large=bool(held), held=held)
        kind = kept.notification.record_kind
        learnt = await self._store.read(lambda c: record_ids.known(c, kept.account, [key]))
        if kind is None or not learnt:
            return Records()
        record = Record(kind=kind, key=key, id=learnt[key])
        return Records(record=record, by_kind={kind: record})

    async def _fetch_in_line(self, kept: KeptNotification, *, priority: Priority, waits: Waits) -> Records:
        if kept.fetch_state is not FetchState.DUE or priority is Priority.IMMEDIATE_FETCH:
            return await self._fetch_in_order(kept, priority=priority)
        notification = kept.notification
        async with self._gate.queue(notification.webservice_id, CallQueue.RECORDS, of=notification):
            waits()
            return await self._fetch_in_order(kept, priority=priority)

    async def _fetch_in_order(self, kept: KeptNotification, *, priority: Priority) -> Records:
        key = kept.notification.record_key
        if key is None:
            return await self._fetch(kept, priority=priority)
        lock = self._in_order.setdefault((kept.account, key), asyncio.Lock())
        async with lock:
            standing = await self._standing(kept)
            if not standing.has_earlier:
                return await self._fetch(kept, priority=priority, standing=standing)
            for one in await self._store.read(lambda c: fetches.earlier_due(c, kept)):
                with suppress(GivenUp):
                    await self._fetch(one, priority=priority)
            return await self._fetch(kept, priority=priority)

    async def _fetch(
        self,
        kept: KeptNotification,
        *,
        priority: Priority,
        standing: Standing | None = None,
        lacking: frozenset[RecordKind] = frozenset(),
    ) -> Records:
        """Fetch and pin what a notification needs, or still lacks, unless that is done or given up, wherever.

        ``standing`` is how it stands, where that was read just now.
        """
        wait = _FIRST_LOOK
        while True:
            standing = standing or await self._standing(kept)
            held = self._hold(sum(size for size in standing.pinned.values() if isinstance(size, int)))
            if standing.kept.fetch_state is FetchState.PINNED and not lacking:
                return self._records(kept, await self._decoded(standing), held)
            webservice = self._may_call(standing)
            if _was_left(standing.kept, self._store.now()):
                await self._failures.left(standing.kept, self._active.account(webservice), _DIED)
            if await self._turns.take(kept.id, standing.kept.fetch_state):
                break
            await asyncio.sleep(wait)
            wait, standing, held = min(2 * wait, _LONGEST_LOOK), None, ()
        kinds = lacking or self._active.kinds(kept.notification) or {kept.notification.record_kind}
        try:
            found = await self._call(standing, webservice, kinds, priority=priority)
        finally:
            await self._turns.give_back(kept.id)
        by_kind = await self._decoded(standing) | {kind: one.record for kind, one in found.items()}
        return self._records(kept, by_kind, (*held, *(one.held for one in found.values() if one.held is not None)))

    def _hold(self, size: int) -> tuple[Held, ...]:
        """Count so many bytes of large records before they are read; raises Deferred while there is no room."""
        if size == 0:
            return ()
        held = self._held.take_if_room(size)
        if held is None:
            raise self._no_room()
        return (held,)

    def _no_room(self) -> Deferred:
        until = self._store.now() + int(_ROOM_AGAIN * SECOND)
        return Deferred(until, "it waits until less of large records is held in memory", in_line=True)

    def _records(self, kept: KeptNotification, by_kind: dict[RecordKind, Record], held: tuple[Held, ...]) -> Records:
        kind = kept.notification.record_kind
        record = by_kind.get(kind) if kind is not None else None
        return Records(record=record, by_kind=by_kind, known=record is not None, are_large=bool(held), held=held)

    async def _decoded(self, standing: Standing) -> dict[RecordKind, Record]:
        pinned = standing.pinned
        if any(isinstance(body, int) for body in pinned.values()):
            pinned = await self._store.read(lambda c: records.pinned_bodies(c, standing.kept.id))
        try:
            bodies = {kind: body for kind, body in pinned.items() if isinstance(body, bytes)}
            return {kind: await decode_aside(body, kind=kind) for kind, body in bodies.items()}
        except DoformsError as error:  # kept before this was a bound
            raise GivenUp(f"the record that was kept cannot be read: {error}") from None

    async def _standing(self, kept: KeptNotification) -> Standing:
        return await self._store.read(lambda c: fetches.standing(c, kept, most=DECODED_HERE))

    def _may_call(self, standing: Standing) -> Webservice:
        """Return in whose name to fetch; raises GivenUp if it was given up, Deferred if that cannot be done now."""
        kept = standing.kept
        if kept.fetch_state is FetchState.GIVEN_UP:
            raise GivenUp(kept.fetch_reason or "the record could not be fetched", ReasonCode.RECORD_NOT_FETCHED)
        if kept.fetch_due_at is not None and not kept.fetch_held and kept.fetch_due_at > self._store.now():
            raise Deferred(kept.fetch_due_at, kept.fetch_reason or "the record could not be fetched yet")
        return self._gate.look(kept.notification.webservice_id)

    async def _call(
        self, standing: Standing, webservice: Webservice, kinds: Collection[RecordKind | None], *, priority: Priority
    ) -> dict[RecordKind, Found]:
        kept = standing.kept
        account = self._active.account(webservice)
        started = time.monotonic()
        found: dict[RecordKind, Found] = {}
        try:
            async with self._gate.permit(webservice.id, priority) as client:
                for kind in kinds:
                    key = kept.notification.key_of(kind)
                    if kind is None or key is None:
                        continue
                    found[kind] = await self._finder.find(
                        Wanted(
                            client=client,
                            notification=kept.notification,
                            kind=kind,
                            key=key,
                            learnt=standing.learnt.get(key),
                            again=kept.fetch_attempts > 0 or kept.fetch_spent > 0,
                        )
                    )
        except NoRoom:
            raise self._no_room() from None
        except NotYet as told:
            await self._failures.not_yet(kept, account, told, time.monotonic() - started)
        except DoformsError as error:
            await self._failures.failed(kept, account, error, time.monotonic() - started)
        await self._pin(standing, found)
        for one in found.values():
            self._saw(webservice, one.record)
        return found

    async def _pin(self, standing: Standing, found: Mapping[RecordKind, Found]) -> None:
        kept = standing.kept
        bodies = {kind: one.body for kind, one in found.items()}
        taught = {key: id_ for one in found.values() for key, id_ in one.ids.items()}
        new = {key: id_ for key, id_ in taught.items() if standing.learnt.get(key) != id_}
        self._turns.ends(kept.id)
        await self._store.note(kept.id, lambda c: records.pin(c, kept, bodies, new))
        self._turns.ended(kept.id)


def _was_left(kept: KeptNotification, moment: int) -> bool:
    """Tell whether a process that made the fetch let its lease lapse: it died."""
    held = kept.fetch_held and kept.fetch_state is FetchState.DUE
    return held and kept.fetch_due_at is not None and kept.fetch_due_at <= moment
