"""The pipeline of one destination: prepare, begin, send, settle; so many at once, in batches where it takes them."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog

from gateway.calls.shared_buckets import pace_of
from gateway.config.loaded import DestinationEntry
from gateway.delivery.apart import made_ready_apart
from gateway.delivery.attempt import attempt, takes_many
from gateway.delivery.backpressure import TRICKLE, Backpressure
from gateway.delivery.breaker import BreakerState
from gateway.delivery.classify import Judge
from gateway.delivery.gathering import Gathering
from gateway.delivery.prepare import Apart, Job, Prepared, prepare
from gateway.delivery.settle import Attempted, Result, may_repeat, settlement_of, telling_missing
from gateway.leases import Leases
from gateway.log import Mask
from gateway.models import Receipt
from gateway.routing.active import ActiveRoutes
from gateway.store.store import Store
from gateway.store.work.queue import Begin, Settled, Settlement
from gateway.templates.render_pool import RenderPool

log = structlog.get_logger(__name__)

_SETTLED_WITHIN = 5.0
"""Seconds that the store gets to note what was cut short at the end."""

OnSettled = Callable[[Job, Settlement, Settled], None]
OnDelivered = Callable[[Job, Receipt], None]
OnResults = Callable[["Pipeline", Sequence[Attempted]], None]
"""Called with the ends of attempts that were made together."""
_Ended = tuple[Job, Attempted, int | None]
_Going = tuple[Job, Prepared, int]


class Pipeline:
    """Works off the deliveries of one destination that this process holds."""

    def __init__(
        self,
        entry: DestinationEntry,
        *,
        store: Store,
        leases: Leases,
        backpressure: Backpressure,
        active: ActiveRoutes,
        mask: Mask,
        on_settled: OnSettled,
        on_delivered: OnDelivered,
        on_results: OnResults,
        on_room: Callable[[str], None],
        renders: RenderPool | None = None,
    ) -> None:
        self._store = store
        self._renders = renders or RenderPool()
        self._apart: dict[asyncio.Task[None], Job] = {}
        self._leases = leases
        self._backpressure = backpressure
        self._active = active
        self._judge = Judge(plugin=entry.plugin, destination=entry.name, mask=mask)
        self._on_settled = on_settled
        self._on_delivered = on_delivered
        self._on_results = on_results
        self._on_room = on_room
        self._urgent: deque[Job] = deque()
        self._ready: deque[Job] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._slots = 0
        self._pumping = False
        self._wake: asyncio.TimerHandle | None = None
        self._gathering = Gathering()
        self._stopped = False
        self._sending: set[asyncio.Future[list[Attempted]]] = set()
        self._cut_short = False
        """Whether what is still being sent is given up, because the gateway ends."""
        self.entry = entry
        self.breaker = BreakerState(entry.breaker, time.monotonic)
        self._pace = pace_of(self._store, entry, on_more=self.pump)
        self.opened = False
        """Whether the destination has been opened; nothing is claimed before."""
        self.unopened: str | None = None
        """Why the last try to open it failed; None: it is being opened for the first time."""
        self.underway = 0
        """Deliveries held here or on their way here."""
        self._aside = 0
        self.load(entry)

    def load(self, entry: DestinationEntry) -> None:
        """Take over limits, at start or after a reload; the breaker and the rate go on where they stand."""
        if entry.rate != self.entry.rate:
            self._pace = pace_of(self._store, entry, on_more=self.pump)
        self.breaker.limits = entry.breaker
        self.entry = entry
        self._many = takes_many(entry.instance)
        self._batch = entry.batch if self._many else 1
        self._most = max(2 * entry.concurrency, 2 * self._batch)

    @property
    def takes_work(self) -> bool:
        """Whether this process works for this destination at all."""
        return self.opened and self.entry.enabled and not self._stopped

    @property
    def capacity(self) -> int:
        """How many more deliveries this process should claim for this destination.

        Those that stepped aside keep no room of others, but for a destination that is down: no crowd is fetched for it.
        """
        if not self.takes_work:
            return 0
        held = self.underway + (self._aside if self.breaker.is_open else 0)
        return self.breaker.capacity(max(0, self._most - held))

    def left(self, count: int) -> None:
        """Note that deliveries are no longer held here; where half of the room is free, claiming is worth while."""
        self.underway -= count
        if count and 2 * self.underway <= self._most:
            self._on_room(self.entry.name)

    @contextmanager
    def stepping_aside(self) -> Iterator[None]:
        """Give the room of a delivery to others while it waits for what may take long."""
        self._aside += 1
        self.left(1)
        try:
            yield
        finally:
            self._aside -= 1
            self.underway += 1

    def put(self, job: Job) -> None:
        """Queue a delivery whose record is there."""
        (self._urgent if job.urgent else self._ready).append(job)
        self.pump()

    def take_back(self) -> list[Job]:
        """Return what has not been started: it is no longer held here."""
        jobs = [*self._urgent, *self._ready]
        self._urgent.clear()
        self._ready.clear()
        self.left(len(jobs))
        return jobs

    def stop(self) -> list[Job]:
        """Start nothing more; returns what has not been started."""
        self._stopped = True
        if self._wake is not None:
            self._wake.cancel()
        apart, self._apart = self._apart, {}
        for task in apart:
            task.cancel()
        return [*apart.values(), *self.take_back()]

    async def finish(self, until: float = math.inf) -> None:
        """Wait for what is being sent; what has no end by ``until`` (by `time.monotonic`) is settled as uncertain."""
        while self._running and (left := until - time.monotonic()) > 0:
            await asyncio.wait(self._running, timeout=None if math.isinf(left) else left)
        self._cut_short = True
        for sending in self._sending:
            sending.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=_SETTLED_WITHIN)

    def pump(self) -> None:
        """Start as many deliveries as the limits allow, together with what else becomes ready in this moment."""
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        while not self._stopped and (queued := len(self._urgent) + len(self._ready)):
            free = self.entry.concurrency - self._slots
            if free <= 0:
                return
            others = self.underway + self._aside > queued
            gathers = self._many and not self._urgent and queued < self._batch and others
            if (left := self._gathering.left(gathers)) > 0:
                self._wake_later(left)
                return
            most = self._batch if self._many else free
            if self._backpressure.is_high and not self._urgent:
                most = 0 if self._slots else min(most, TRICKLE)
            permitted = self._pace.take(self.breaker.capacity(min(most, queued)))
            if permitted == 0:
                self._wake_later(self._wait())
                return
            jobs = self._set_apart([(self._urgent or self._ready).popleft() for _ in range(permitted)])
            self._gathering.over()
            self.breaker.start()
            self._slots += self._slots_for(len(jobs))
            self._start(self._run(jobs))

    def _set_apart(self, jobs: list[Job]) -> list[Job]:
        """Return those that go together: one that is tried apart from other suspects goes in no batch with others."""
        if not self._many or len(jobs) == 1 or not any(job.due.alone for job in jobs):
            return jobs
        alone = next(job for job in jobs if job.due.alone)
        self._ready.extendleft(reversed([job for job in jobs if job is not alone]))
        return [alone]

    def _slots_for(self, count: int) -> int:
        return 1 if self._many else count  # of the sends that may be made at once

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _wait(self) -> float:
        wait = self._pace.wait()
        if self.breaker.probe_at is not None:
            wait = max(wait, self.breaker.probe_at - time.monotonic())
        return max(wait, 0.01)

    def _wake_later(self, wait: float) -> None:
        loop = asyncio.get_running_loop()
        if self._wake is not None:
            if self._wake.when() <= loop.time() + wait:
                return
            self._wake.cancel()
        self._wake = loop.call_later(wait, self._woken)

    def _woken(self) -> None:
        self._wake = None
        self.pump()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._apart.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a delivery broke off; its lease will lapse", destination=self.entry.name, exc_info=error)
        self.pump()

    async def _run(self, jobs: Sequence[Job]) -> None:
        """Prepare deliveries and begin their attempts together, and send them: together or each by itself."""
        waiting, slots = len(jobs), self._slots_for(len(jobs))
        try:
            ended, going, apart = self._prepare(jobs)
            waiting = len(jobs := [job for job, *_ in (*ended, *going)])
            for job, what in apart:
                self._apart[self._start(self._make_ready_apart(job, what))] = job
            going = await self._begin(going)
            sending = [one for one in going if not self._is_dry(one[0])]
            for group in [sending] if self._many and sending else [[one] for one in sending]:
                self._start(self._deliver(group))
                waiting, slots = waiting - len(group), slots - 1
            if not sending:
                self.breaker.cancelled()
            ended += await self._dry_runs([one for one in going if self._is_dry(one[0])])
            await self._settle(ended)
        except BaseException:
            if waiting == len(jobs):  # nothing went out: what was to be a probe tells nothing, and another one may go
                self.breaker.cancelled()
            self._let_lapse(jobs)
            raise
        finally:
            self._slots -= slots
            self.left(waiting)

    async def _deliver(self, group: list[tuple[Job, Prepared, int]]) -> None:
        try:
            try:
                ended = await self._send(group)
            finally:
                self._slots -= 1  # others are prepared and begin while these are settled
                self.pump()
            await self._settle(ended)
        except BaseException:
            self._let_lapse([job for job, _, _ in group])
            raise
        finally:
            self.left(len(group))

    def _let_lapse(self, jobs: Sequence[Job]) -> None:
        """Renew leases no more whose work broke off, so that it is due again."""
        for job in jobs:
            self._leases.forget(job.due.lane_id, job.due.token)

    async def _make_ready_apart(self, job: Job, apart: Apart) -> None:
        try:
            with self.stepping_aside():  # it holds no slot and no room of others meanwhile
                job.ready = await made_ready_apart(self._renders, job, apart)
        except BaseException:
            self.left(1)
            if asyncio.current_task() in self._apart:  # else it was handed back, and may be on its way elsewhere
                self._let_lapse([job])
            raise
        self.put(job)

    def _prepare(self, batch: Sequence[Job]) -> tuple[list[_Ended], list[_Going], list[tuple[Job, Apart]]]:
        ended, going, apart = list[_Ended](), list[_Going](), list[tuple[Job, Apart]]()
        for job in batch:
            if job.due.in_doubt and not may_repeat(job.spec):
                reason = "an earlier attempt was cut short by a crash"
                ended.append((job, Attempted(result=Result.UNCERTAIN, reason=reason), None))
                continue
            webservice = self._active.webservice(job.kept.notification.webservice_id)
            ready = prepare(job, webservice, timezone=self._active.routes.timezone)
            if isinstance(ready, Attempted):
                ended.append((job, ready, None))
            elif isinstance(ready, Apart):
                apart.append((job, ready))
            else:
                going.append((job, ready, self._store.attempt_id()))
        return ended, going, apart

    async def _begin(self, going: list[tuple[Job, Prepared, int]]) -> list[tuple[Job, Prepared, int]]:
        if not going:
            return []
        marks = [Begin(due=job.due, attempt_id=id_, rendered=ready.rendered) for job, ready, id_ in going]
        begun = await self._store.begin(marks)
        allowed = []
        for one, ok in zip(going, begun, strict=True):
            due = one[0].due
            if ok and self._leases.valid(due.lane_id, due.token):
                allowed.append(one)
            else:  # the lease was lost, or a person dropped the delivery: whoever holds the lane goes on
                self._leases.forget(due.lane_id, due.token)
        return allowed

    def _is_dry(self, job: Job) -> bool:
        return job.spec.dry_run or self.entry.dry_run

    async def _dry_runs(self, group: Sequence[tuple[Job, Prepared, int]]) -> list[tuple[Job, Attempted, int | None]]:
        instance = self.entry.instance
        ends = await asyncio.gather(*(self._judge.dry_run(instance, ready.delivery) for _, ready, _ in group))
        return [(job, end, id_) for (job, _, id_), end in zip(group, ends, strict=True)]

    async def _send(self, group: list[tuple[Job, Prepared, int]]) -> list[tuple[Job, Attempted, int | None]]:
        deliveries = [ready.delivery for _, ready, _ in group]
        timeout = max(job.spec.timeout for job, _, _ in group)
        sending = asyncio.ensure_future(attempt(self.entry.instance, deliveries, timeout=timeout, judge=self._judge))
        waiting = asyncio.shield(sending)
        self._sending.add(waiting)
        try:
            results = await waiting
        except asyncio.CancelledError:
            if not waiting.cancelled():
                raise
            sending.cancel()
            if self._cut_short:
                reason = "the gateway was shut down while it was being sent"
                results = [Attempted(result=Result.UNCERTAIN, reason=reason)] * len(group)
            else:
                results = self._judge.cancelled(deliveries)
                self._tell(results)
        else:
            self._tell(results)
        finally:
            self._sending.discard(waiting)
        for (job, _, _), result in zip(group, results, strict=True):
            if result.receipt is not None:
                self._on_delivered(job, result.receipt)
        return [(job, result, id_) for (job, _, id_), result in zip(group, results, strict=True)]

    def _tell(self, results: Sequence[Attempted]) -> None:
        if not self._stopped:  # what it says of old settings is no reason to hold back the new ones
            self._on_results(self, results)

    async def _settle(self, ended: Sequence[tuple[Job, Attempted, int | None]]) -> None:
        if not ended:
            return
        moment = self._store.now()
        settlements = []
        for job, result, id_ in ended:
            told, jitter = telling_missing(result, job.attached), random.random()  # nosec B311
            settlements.append(settlement_of(job.due, job.spec, told, attempt_id=id_, moment=moment, jitter=jitter))
        for job, _, _ in ended:
            self._leases.ends(job.due.lane_id, job.due.token)
        settled = await self._store.settle(settlements)
        for (job, _, _), settlement, verdict in zip(ended, settlements, settled, strict=True):
            self._leases.forget(job.due.lane_id, job.due.token)
            self._on_settled(job, settlement, verdict)
