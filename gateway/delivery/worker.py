"""The worker: claims what is due, sees to its record, and passes it to the pipeline of its destination."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Any

import structlog

from gateway.attachments.fetcher import AttachmentFetcher
from gateway.config.loaded import DestinationEntry
from gateway.delivery.apart import seen_in, will_not_be_sent
from gateway.delivery.at_hand import AtHand
from gateway.delivery.availability import Availability, DestinationNotes, availability
from gateway.delivery.backpressure import Backpressure
from gateway.delivery.deaths import Deaths
from gateway.delivery.orphans import DeliveryRef, Orphans
from gateway.delivery.pipeline import Pipeline
from gateway.delivery.pool import PipelinePool
from gateway.delivery.prepare import Job
from gateway.delivery.settle import settlement_of, unsent
from gateway.delivery.waiters import OutcomeWaiters
from gateway.drift.known_questions import KnownQuestions
from gateway.drift.tracker import Drift
from gateway.leases import Leases
from gateway.log import Mask
from gateway.models import DeliveryState
from gateway.pauses import Kind, Pauses
from gateway.poller import POLL, Poller, taken_with
from gateway.records.fetcher import RecordFetcher
from gateway.reporting.reporter import Reporter
from gateway.retry import Deferred, GivenUp
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.transaction_time import NEVER, SECOND
from gateway.store.store import Store
from gateway.store.work import lane_leases, records
from gateway.store.work.inbox import Kept
from gateway.store.work.queue import Due, Settled, Settlement
from gateway.store.work.records import KeptNotification
from gateway.templates.render_pool import RenderPool

log = structlog.get_logger(__name__)

NOT_LOADED = 60.0
"""Seconds until a delivery looks again whether its route or destination is loaded."""
_FOLLOWED_UP_WITHIN = 5.0
"""Seconds that the last steps get at the end: they only write to the store."""


class Worker:
    """Runs deliveries: those that receiving hands over at once, and those that fall due in the store."""

    def __init__(
        self,
        *,
        store: Store,
        active: ActiveRoutes,
        fetcher: RecordFetcher,
        attachments: AttachmentFetcher,
        pauses: Pauses,
        waiters: OutcomeWaiters,
        reporter: Reporter,
        backpressure: Backpressure,
        orphans: Orphans,
        drift: Drift,
        mask: Mask,
    ) -> None:
        self._store = store
        self._active = active
        self._fetcher = fetcher
        self._attachments = attachments
        self._pauses = pauses
        self._waiters = waiters
        self._reporter = reporter
        self._backpressure = backpressure
        self._orphans = orphans
        self._drift = drift
        self._mask = mask
        self._questions = KnownQuestions(store=store, met=drift.met)
        self._leases = Leases(store, lane_leases.renew)
        self._deaths = Deaths(store=store, active=active, fetcher=fetcher, leases=self._leases)
        self._renders = RenderPool()
        self._tasks: set[asyncio.Task[None]] = set()
        self._fetches: set[asyncio.Task[None]] = set()
        self._poller = Poller(
            store,
            rooms=self._rooms,
            suspects=self._deaths.may_try,
            start=self._start_all,
            before=self._look_around,
        )
        self._notes = DestinationNotes(pauses, self._spawn)
        self._pool = PipelinePool(make=self._pipeline, pauses=pauses, mask=mask, on_opened=self._poller.wake)
        self._stopping = False
        self._at_hand = AtHand()
        self._refreshed_at = float("-inf")

    def start(self) -> None:
        """Open the destinations and begin to work."""
        self.load()
        self._renewal = asyncio.create_task(self._leases.keep_renewed())
        self._claiming = asyncio.create_task(self._poller.keep_claiming())
        self._listening = asyncio.create_task(self._store.keep_listening(self._poller.wake))
        self._fetching = asyncio.create_task(self._fetcher.keep_turns())

    def load(self) -> None:
        """Take over the routes in force. What is being sent ends as it began; what waits here is led anew."""
        for job in self._pool.load(self._active.routes.destinations):
            self._lead(job.due, job.kept, urgent=job.urgent)
        self._poller.wake()

    def wake(self) -> None:
        """Look at the store now."""
        self._poller.wake()

    def _pipeline(self, entry: DestinationEntry) -> Pipeline:
        return Pipeline(
            entry,
            store=self._store,
            leases=self._leases,
            backpressure=self._backpressure,
            active=self._active,
            mask=self._mask,
            on_settled=self._settled,
            on_delivered=self._drift.delivered,
            on_results=self._notes.note,
            on_room=self._poller.has_room,
            renders=self._renders,
        )

    def availability(self, destination: str) -> Availability:
        """Return how a destination stands."""
        return availability(destination, self._pool.get(destination), self._pauses, stopping=self._stopping)

    def obstacle(self, destination: str) -> str | None:
        """Tell why a delivery to this destination could not be sent right now."""
        return self.availability(destination).reason

    def obstacles(self) -> dict[str, str | None]:
        """Return what stands in the way of each destination; None: nothing."""
        return {name: self.obstacle(name) for name, _ in self._pool}

    def has_room(self, destination: str) -> bool:
        """Tell whether this process should take further deliveries to this destination as they arrive."""
        found = self.availability(destination)
        return found.reason is None and found.capacity > 0

    def accept(self, kept: Kept, make: Callable[[], KeptNotification], *, urgent: bool) -> None:
        """Run the deliveries whose lanes were taken with the keeping; ``make`` makes the notification where needed."""
        notification: KeptNotification | None = None
        for delivery in kept.deliveries:
            pipeline = self._pool.get(delivery.new.destination)
            if delivery.token is None and (pipeline is None or not pipeline.takes_work):
                continue  # it waits in the store
            notification = notification or make()
            if delivery.token is not None:
                self._start(taken_with(kept, delivery, delivery.token), notification, urgent=urgent)
                continue
            self._at_hand.remember(notification)
            if not delivery.new.take:
                self._poller.left_behind(delivery.new.destination)

    def begin_to_stop(self) -> None:
        """Claim and start nothing more; hand back what has not been sent. Whoever waits for that is told so."""
        if self._stopping:
            return
        self._stopping = True
        self._poller.stop()
        for task in self._fetches:
            task.cancel()
        self._spawn(self._hand_back(self._pool.stop()))

    async def stop(self, until: float) -> None:
        """Let what is being sent end until then (by `time.monotonic`), and let go of the destinations."""
        self.begin_to_stop()
        await self._pool.finish(until)
        self._renders.close()
        await asyncio.wait([self._claiming, *self._fetches, *self._tasks], timeout=_FOLLOWED_UP_WITHIN)
        if self._tasks:  # what followed from those
            await asyncio.wait(self._tasks, timeout=_FOLLOWED_UP_WITHIN)
        await _end([self._listening, self._claiming, *self._fetches, *self._tasks, self._fetching, self._renewal])

    async def _look_around(self) -> None:
        """See what a person ordered meanwhile, and hand back what cannot be sent."""
        moment = time.monotonic()
        if moment - self._refreshed_at > POLL:
            await self._pauses.refresh()
            self._refreshed_at = moment
        await self._give_up_stalled()

    def _rooms(self) -> dict[str, int]:
        return {name: room for name, _ in self._pool if (room := self.availability(name).capacity) > 0}

    async def _give_up_stalled(self) -> None:
        """Hand back what waits for a destination that takes nothing now, so that its leases need not be renewed."""
        stalled = [
            pipeline
            for name, pipeline in self._pool
            if pipeline.breaker.is_open or self._pauses.reason(Kind.DESTINATION, name) is not None
        ]
        for pipeline in stalled:
            await self._hand_back(pipeline.take_back())

    async def _hand_back(self, jobs: Iterable[Job]) -> None:
        held = []
        for job in jobs:
            held.append(job.due)
            self._leases.forget(job.due.lane_id, job.due.token)
            if job.due.required:
                self._waiters.postponed(job.kept.id, NEVER)
        if not held:
            return
        await self._store.release(held)
        for due in held:
            self._poller.left_behind(due.destination)

    async def _start_all(self, claimed: list[Due]) -> None:
        if not claimed:
            return
        wanted = {due.notification_id for due in claimed}
        notifications = {id_: found for id_ in wanted if (found := self._at_hand.get(id_)) is not None}
        if missing := sorted(wanted - notifications.keys()):
            notifications |= await self._store.read(lambda connection: records.load(connection, missing))
        for due in claimed:
            if due.left_by is None:
                self._start(due, notifications[due.notification_id], urgent=False)
        if left := [(due, notifications[due.notification_id]) for due in claimed if due.left_by is not None]:
            await self._settle_left(left)

    async def _settle_left(self, left: Iterable[tuple[Due, KeptNotification]]) -> None:
        """Settle what a process that died has left, before any of it is tried again."""
        jobs = []
        for due, kept in left:
            found = self._active.delivery(due.route, due.name)
            if found is None or found[1].destination != due.destination:
                self._spawn(self._wait_for_route(due, kept))
            else:
                jobs.append(Job(due=due, kept=kept, route=found[0], spec=found[1]))
        for job, settlement, settled in await self._deaths.settle(jobs):
            self._settled(job, settlement, settled)

    def _start(self, due: Due, kept: KeptNotification, *, urgent: bool) -> None:
        self._deaths.starts(due)
        self._leases.hold(due.lane_id, due.token, due.lease_until)
        self._lead(due, kept, urgent=urgent)

    def _lead(self, due: Due, kept: KeptNotification, *, urgent: bool) -> None:
        """Lead a delivery that is held to its destination, by the routes loaded now."""
        found = self._active.delivery(due.route, due.name)
        pipeline = self._pool.get(due.destination)
        if found is None or pipeline is None or found[1].destination != due.destination:
            self._spawn(self._wait_for_route(due, kept))
            return
        job = Job(due=due, kept=kept, route=found[0], spec=found[1], urgent=urgent)
        if not pipeline.takes_work:  # being opened anew, switched off, or stopped
            self._spawn(self._hand_back([job]))
            return
        pipeline.underway += 1
        if job.spec.needs:
            self._spawn(self._fetch_then_send(job, pipeline), among=self._fetches)
        else:
            pipeline.put(job)

    async def _wait_for_route(self, due: Due, kept: KeptNotification) -> None:
        way = DeliveryRef(due.route, due.name, due.destination)
        until = self._store.now() + int(NOT_LOADED * SECOND)
        self._leases.ends(due.lane_id, due.token)
        try:
            await self._store.settle([way.wait(due, until)])
            await self._orphans.met(way)
        finally:
            self._leases.forget(due.lane_id, due.token)
        if due.required:
            self._waiters.postponed(kept.id, until)

    async def _fetch_then_send(self, job: Job, pipeline: Pipeline) -> None:
        try:
            job.records = await self._fetcher.records(job.kept, urgent=job.urgent, aside=pipeline.stepping_aside)
            self._at_hand.note_fetched(job.kept)
            job.questions = await self._questions.of(job.spec, job.kept, job.records.record)
            if job.spec.attachments:
                await self._attach(job, pipeline)
        except (Deferred, GivenUp) as error:
            pipeline.left(1)
            await self._settle_unsent(job, error)
        except BaseException:
            pipeline.left(1)
            await self._hand_back([job])
            raise
        else:
            if self._active.delivery(job.due.route, job.due.name) == (job.route, job.spec) and pipeline.takes_work:
                pipeline.put(job)
            else:  # the routes were loaded again meanwhile
                pipeline.left(1)
                self._lead(job.due, job.kept, urgent=job.urgent)

    async def _attach(self, job: Job, pipeline: Pipeline) -> None:
        """See to the attachments of a delivery that will be sent; others go before it meanwhile."""
        webservice = self._active.webservice(job.kept.notification.webservice_id)
        timezone, aside = self._active.routes.timezone, pipeline.stepping_aside
        if await will_not_be_sent(self._renders, job, webservice, timezone=timezone, aside=aside, now=self._store.now):
            return
        job.attached = await self._attachments.attached(
            job.kept,
            job.records.record,
            required=job.spec.attachments_required,
            aside=pipeline.stepping_aside,
        )
        job.records = await seen_in(job)

    async def _settle_unsent(self, job: Job, why: Deferred | GivenUp) -> None:
        moment = self._store.now()
        settlement = settlement_of(job.due, job.spec, unsent(why, moment), attempt_id=None, moment=moment, jitter=0.5)
        self._leases.ends(job.due.lane_id, job.due.token)
        try:
            (settled,) = await self._store.settle([settlement])
        finally:
            self._leases.forget(job.due.lane_id, job.due.token)
        self._settled(job, settlement, settled, in_line=isinstance(why, Deferred) and why.in_line)

    def _settled(self, job: Job, settlement: Settlement, settled: Settled, *, in_line: bool = False) -> None:
        """Follow up: the next delivery of the lane, the outcome, or the wait for another attempt.

        ``in_line``: it waits for its turn alone, as thousands may.
        """
        if not settled.accepted:
            text = "a settlement came too late: the lease was lost, and the delivery is due again"
            _log_of(job).warning(text)
            return
        if settlement.state is DeliveryState.DEAD:
            _log_of(job).warning("delivery is dead", reason=settlement.reason)
        elif settlement.state is DeliveryState.PENDING:
            log_ = _log_of(job)
            (log_.debug if in_line else log_.info)("delivery waits", reason=settlement.reason)
        elif self._pauses.probing(Kind.DESTINATION, job.spec.destination):
            self._spawn(self._pauses.worked(Kind.DESTINATION, job.spec.destination))
        if settled.next is not None:
            self._spawn(self._start_all([settled.next]))
        if settled.outcome is not None:
            self._waiters.tell(job.due.notification_id, settled.outcome)
            self._reporter.wake()
        elif settlement.state is DeliveryState.PENDING and job.due.required:
            self._waiters.postponed(job.due.notification_id, settlement.due_at)
        if settlement.state is DeliveryState.PENDING:
            self._poller.due_at(settlement.due_at)

    def _spawn(self, work: Coroutine[Any, Any, None], *, among: set[asyncio.Task[None]] | None = None) -> None:
        task = asyncio.create_task(work)
        tasks = self._tasks if among is None else among
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a step of the worker broke off; its lease will lapse", error=str(error), exc_info=error)


def _log_of(job: Job) -> Any:
    about = job.kept.notification
    return log.bind(notification=about.key, record=about.record_key, route=job.route.name, delivery=job.spec.name)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
