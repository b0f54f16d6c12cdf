"""The pipeline of one destination: renders, begins, sends and settles, in batches where the plugin takes them."""

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

from gateway.calls.shared_buckets import bucket_of
from gateway.config.loaded import DestinationEntry
from gateway.delivery.attempts.attempt import takes_many
from gateway.delivery.attempts.sender import Ended, Sender
from gateway.delivery.backpressure import TRICKLE
from gateway.delivery.batch_window import BatchWindow
from gateway.delivery.breaker import BreakerState
from gateway.delivery.flow import FlowControl
from gateway.delivery.ledger import Going, Ledger
from gateway.delivery.preparing.prepare import Apart, Job
from gateway.delivery.preparing.renderer import Renderer
from gateway.delivery.settle import settlement_of, telling_missing
from gateway.jobs import Settled, Settlement

log = structlog.get_logger(__name__)

_SETTLED_WITHIN = 5.0
"""Seconds that the store gets to note what was cut short at the end."""

OnSettled = Callable[[Job, Settlement, Settled], None]


class Pipeline:
    """Works off the deliveries of one destination that this process holds; ``on_settled`` hears of each."""

    def __init__(
        self,
        entry: DestinationEntry,
        *,
        ledger: Ledger,
        renderer: Renderer,
        sender: Sender,
        flow: FlowControl,
        on_settled: OnSettled,
    ) -> None:
        self._ledger = ledger
        self._renderer = renderer
        self._sender = sender
        self._flow = flow
        self._on_settled = on_settled
        self._urgent: deque[Job] = deque()
        self._ready: deque[Job] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._elsewhere: dict[asyncio.Task[None], Job] = {}
        """Deliveries that are rendered in another process or thread."""
        self._slots = 0
        self._pumping = False
        self._wake: asyncio.TimerHandle | None = None
        self._window = BatchWindow()
        self._stopped = False
        self.entry = entry
        self.breaker = BreakerState(entry.breaker, time.monotonic)
        self._bucket = bucket_of(ledger.store, entry, on_more=self.pump)
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
            self._bucket = bucket_of(self._ledger.store, entry, on_more=self.pump)
        self.breaker.limits = entry.breaker
        self.entry = self._sender.entry = entry
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
            self._flow.has_capacity(self.entry.name)

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
        self._sender.retire()
        if self._wake is not None:
            self._wake.cancel()
        elsewhere, self._elsewhere = self._elsewhere, {}
        for task in elsewhere:
            task.cancel()
        return [*elsewhere.values(), *self.take_back()]

    async def finish(self, until: float = math.inf) -> None:
        """Wait for what is being sent; what has no end by ``until`` (by `time.monotonic`) is settled as uncertain."""
        while self._running and (left := until - time.monotonic()) > 0:
            await asyncio.wait(self._running, timeout=None if math.isinf(left) else left)
        self._sender.cut_short()
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
            if (left := self._window.left(gathers)) > 0:
                self._wake_later(left)
                return
            most = self._batch if self._many else free
            if self._flow.steps_back and not self._urgent:
                most = 0 if self._slots else min(most, TRICKLE)
            permitted = self._bucket.take(self.breaker.capacity(min(most, queued)))
            if permitted == 0:
                self._wake_later(self._wait())
                return
            jobs = self._set_apart([(self._urgent or self._ready).popleft() for _ in range(permitted)])
            self._window.over()
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
        wait = self._bucket.wait()
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
        self._elsewhere.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a delivery broke off; its lease will lapse", destination=self.entry.name, exc_info=error)
        self.pump()

    async def _run(self, jobs: Sequence[Job]) -> None:
        """Render deliveries and begin their attempts together, and send them: together or each by itself."""
        waiting, slots = len(jobs), self._slots_for(len(jobs))
        try:
            batch = self._renderer.render(jobs, self._ledger.store.attempt_id)
            waiting = len(jobs := [job for job, *_ in (*batch.ended, *batch.going)])
            for job, task in batch.heavy:
                self._elsewhere[self._start(self._render_elsewhere(job, task))] = job
            going = await self._ledger.begin(batch.going)
            sending = [attempt for attempt in going if not self._sender.is_dry(attempt[0])]
            for group in [sending] if self._many and sending else [[attempt] for attempt in sending]:
                self._start(self._deliver(group))
                waiting, slots = waiting - len(group), slots - 1
            if not sending:
                self.breaker.cancelled()
            dry = [attempt for attempt in going if self._sender.is_dry(attempt[0])]
            await self._settle([*batch.ended, *await self._sender.dry_run(dry)])
        except BaseException:
            if waiting == len(jobs):  # nothing went out: what was to be a probe tells nothing, and another one may go
                self.breaker.cancelled()
            self._let_lapse(jobs)
            raise
        finally:
            self._slots -= slots
            self.left(waiting)

    async def _deliver(self, group: list[Going]) -> None:
        try:
            try:
                ended = await self._sender.send(group, self.breaker)
            finally:
                self._slots -= 1  # others are prepared and begin while these are settled
                self.pump()
            await self._settle(ended)
        except BaseException:
            self._let_lapse([job for job, _, _ in group])
            raise
        finally:
            self.left(len(group))

    async def _render_elsewhere(self, job: Job, task: Apart) -> None:
        try:
            with self.stepping_aside():  # it holds no slot and no capacity of others meanwhile
                await self._renderer.render_elsewhere(job, task)
        except BaseException:
            self.left(1)
            if asyncio.current_task() in self._elsewhere:  # else it was handed back, and may be on its way elsewhere
                self._let_lapse([job])
            raise
        self.put(job)

    async def _settle(self, ended: Sequence[Ended]) -> None:
        if not ended:
            return
        moment = self._ledger.now()
        settlements = []
        for job, result, id_ in ended:
            attempted, jitter = telling_missing(result, job.attached), random.random()  # nosec B311
            settlements.append(
                settlement_of(job.due, job.spec, attempted, attempt_id=id_, moment=moment, jitter=jitter)
            )
        settled = await self._ledger.settle(settlements)
        for (job, _, _), settlement, verdict in zip(ended, settlements, settled, strict=True):
            self._on_settled(job, settlement, verdict)

    def _let_lapse(self, jobs: Sequence[Job]) -> None:
        """Renew leases no more whose work broke off, so that it is due again."""
        for job in jobs:
            self._ledger.let_go(job.due)
