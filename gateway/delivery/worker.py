"""The worker: claims what is due, fetches what each delivery needs, passes it to the pipeline of its destination."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from gateway.config.loaded import DestinationEntry
from gateway.delivery.availability import Availability
from gateway.delivery.background import BackgroundTasks, finish
from gateway.delivery.claims import DeliveryClaims, taken_with
from gateway.delivery.follow_up import FollowUp
from gateway.delivery.pipeline import Pipeline
from gateway.delivery.pool import PipelinePool
from gateway.delivery.preparing.inputs import InputFetcher
from gateway.delivery.preparing.prepare import Job
from gateway.delivery.recent import RecentNotifications
from gateway.delivery.unsent import UnsentDeliveries
from gateway.jobs import Due, Settled, Settlement
from gateway.models import DeliveryState
from gateway.retry import Deferred, GivenUp
from gateway.store.engine.transaction_time import NEVER
from gateway.store.store import Store
from gateway.store.work import records
from gateway.store.work.inbox import Kept
from gateway.store.work.records import KeptNotification

_FINISHED_WITHIN = 5.0
"""Seconds that the last steps get at the end: they only write to the store."""


class Worker:
    """Runs deliveries: those that receiving hands over at once, and those that fall due in the store."""

    def __init__(
        self,
        store: Store,
        *,
        inputs: InputFetcher,
        pool: PipelinePool,
        claims: DeliveryClaims,
        unsent: UnsentDeliveries,
        follow_up: FollowUp,
    ) -> None:
        self._store = store
        self._inputs = inputs
        self._pool = pool
        self._claims = claims
        self._unsent = unsent
        self._follow_up = follow_up
        self._background = BackgroundTasks()
        self._claiming = BackgroundTasks()
        self._fetches = BackgroundTasks()
        self._recent = RecentNotifications()
        self._stopping = False

    def start(self, destinations: Mapping[str, DestinationEntry]) -> None:
        """Open the destinations and begin to work."""
        self.load(destinations)
        self._claiming.spawn(self._claims.keep_looking(self._look))

    def load(self, destinations: Mapping[str, DestinationEntry]) -> None:
        """Take over the routes in force. What is being sent ends as it began; what waits here is led anew."""
        for job in self._pool.load(destinations):
            self._lead(job.due, job.kept, urgent=job.urgent)
        self.wake()

    def wake(self) -> None:
        """Look at the store now."""
        self._claims.wake()

    def availability(self, destination: str) -> Availability:
        """Return how a destination stands."""
        return self._pool.availability(destination)

    def obstacle(self, destination: str) -> str | None:
        """Tell why a delivery to this destination could not be sent right now."""
        return self.availability(destination).reason

    def obstacles(self) -> dict[str, str | None]:
        """Return what stands in the way of each destination; None: nothing."""
        return {name: self.obstacle(name) for name, _ in self._pool}

    def has_room(self, destination: str) -> bool:
        """Tell whether this process should take further deliveries to this destination as they arrive."""
        standing = self.availability(destination)
        return standing.reason is None and standing.capacity > 0

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
            self._recent.remember(notification)
            if not delivery.new.take:
                self._claims.left_behind(delivery.new.destination)

    def settled(self, job: Job, settlement: Settlement, settled: Settled, *, in_line: bool = False) -> None:
        """Go on after a settlement: with the next delivery of the lane, and with whoever waits for this one."""
        self._follow_up.settled(job, settlement, settled, in_line=in_line)
        if not settled.accepted:
            return
        if settled.next is not None:
            self._background.spawn(self._start_all([settled.next]))
        if settlement.state is DeliveryState.PENDING:
            self._claims.due_at(settlement.due_at)

    def begin_to_stop(self) -> None:
        """Claim and start nothing more; hand back what has not been sent. Whoever waits for that is told so."""
        if self._stopping:
            return
        self._stopping = True
        self._claims.stop()
        self._fetches.cancel()
        self._background.spawn(self._hand_back(self._pool.stop()))

    async def stop(self, until: float) -> None:
        """Let what is being sent end until then (by `time.monotonic`), and let go of the destinations."""
        self.begin_to_stop()
        await self._pool.finish(until)
        await finish(
            self._claiming, self._fetches, self._background, self._follow_up.background, within=_FINISHED_WITHIN
        )

    async def _look(self) -> float:
        """Claim and start what is due; returns the seconds until there can be more."""
        await self._claims.refresh_pauses()
        await self._hand_back(self._pool.take_back_stalled())
        claimed, wait = await self._claims.claim()
        await self._start_all(claimed)
        return wait

    async def _hand_back(self, jobs: Iterable[Job]) -> None:
        held = []
        for job in jobs:
            held.append(job.due)
            if job.due.required:
                self._follow_up.postponed(job.kept.id, NEVER)
        if held:
            await self._claims.hand_back(held)

    async def _start_all(self, claimed: list[Due]) -> None:
        if not claimed:
            return
        wanted = {due.notification_id for due in claimed}
        notifications = {id_: recent for id_ in wanted if (recent := self._recent.get(id_)) is not None}
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
            if (job := self._inputs.job_of(due, kept)) is None:
                self._background.spawn(self._wait_for_route(due))
            else:
                jobs.append(job)
        for job, settlement, settled in await self._unsent.settle_left(jobs):
            self.settled(job, settlement, settled)

    def _start(self, due: Due, kept: KeptNotification, *, urgent: bool) -> None:
        self._claims.hold(due)
        self._lead(due, kept, urgent=urgent)

    def _lead(self, due: Due, kept: KeptNotification, *, urgent: bool) -> None:
        """Lead a delivery that is held to its destination, by the routes loaded now."""
        job, pipeline = self._inputs.job_of(due, kept, urgent=urgent), self._pool.get(due.destination)
        if job is None or pipeline is None:
            self._background.spawn(self._wait_for_route(due))
        elif not pipeline.takes_work:  # being opened anew, switched off, or stopped
            self._background.spawn(self._hand_back([job]))
        else:
            pipeline.underway += 1
            if job.spec.needs:
                self._fetches.spawn(self._fetch_then_send(job, pipeline))
            else:
                pipeline.put(job)

    async def _wait_for_route(self, due: Due) -> None:
        until = await self._unsent.wait_for_route(due)
        if due.required:
            self._follow_up.postponed(due.notification_id, until)

    async def _fetch_then_send(self, job: Job, pipeline: Pipeline) -> None:
        try:
            await self._inputs.fetch_record(job, pipeline.stepping_aside)
            self._recent.note_fetched(job.kept)
            await self._inputs.fetch_rest(job, pipeline.stepping_aside)
        except (Deferred, GivenUp) as error:
            pipeline.left(1)
            settlement, settled = await self._unsent.settle(job, error)
            self.settled(job, settlement, settled, in_line=isinstance(error, Deferred) and error.in_line)
        except BaseException:
            pipeline.left(1)
            await self._hand_back([job])
            raise
        else:
            if self._inputs.is_current(job) and pipeline.takes_work:
                pipeline.put(job)
            else:  # the routes were loaded again meanwhile
                pipeline.left(1)
                self._lead(job.due, job.kept, urgent=job.urgent)
