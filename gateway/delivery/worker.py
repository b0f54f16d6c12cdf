"""The worker: claims what is due, sees to its record, and passes it to the pipeline of its destination."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Iterable
from contextlib import suppress
from typing import Any

import structlog

from gateway.delivery.claims import POLL, Claims
from gateway.delivery.current import Current
from gateway.delivery.fetch import FetchDesk, GivenUp, PutOff
from gateway.delivery.leases import Leases
from gateway.delivery.outcomes import Outcomes
from gateway.delivery.pauses import Cause, Kind, Pauses
from gateway.delivery.pipeline import Pipeline
from gateway.delivery.prepare import Job
from gateway.delivery.pressure import Pressure
from gateway.delivery.report import Reporter
from gateway.delivery.settle import Attempted, Result, decide
from gateway.errors import Misconfigured, Unavailable
from gateway.log import Mask
from gateway.models import DeliveryState
from gateway.store import alarms, lane_leases, records
from gateway.store.clock import SECOND
from gateway.store.inbox import Kept, KeptDelivery
from gateway.store.queue import Due, Settled, Settlement
from gateway.store.records import KeptNotification
from gateway.store.store import Store

log = structlog.get_logger(__name__)

NOT_LOADED = 60.0
"""Seconds until a delivery looks again whether its route or destination is loaded."""
_AT_HAND = 4096
"""Notifications kept in memory for deliveries that wait in the store."""
_SMALL = 4096
"""Bytes of the body of a notification that is kept in memory."""


class Worker:
    """Runs deliveries: those that receiving hands over at once, and those that fall due in the store."""

    def __init__(
        self,
        *,
        store: Store,
        current: Current,
        desk: FetchDesk,
        pauses: Pauses,
        outcomes: Outcomes,
        reporter: Reporter,
        pressure: Pressure,
        mask: Mask,
    ) -> None:
        self._store = store
        self._current = current
        self._desk = desk
        self._pauses = pauses
        self._outcomes = outcomes
        self._reporter = reporter
        self._pressure = pressure
        self._mask = mask
        self._leases = Leases(store, lane_leases.renew)
        self._pipelines: dict[str, Pipeline] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._services: list[asyncio.Task[None]] = []
        self._claims = Claims(store, rooms=self._rooms, start=self._start_all, before=self._look_around)
        self._at_hand: OrderedDict[int, KeptNotification] = OrderedDict()
        self._refreshed_at = 0

    def start(self) -> None:
        """Open the destinations and begin to work."""
        for entry in self._current.routes.destinations.values():
            pipeline = Pipeline(
                entry,
                store=self._store,
                leases=self._leases,
                pressure=self._pressure,
                current=self._current,
                mask=self._mask,
                on_settled=self._settled,
                on_misconfigured=self._misconfigured,
                on_room=self._claims.has_room,
            )
            self._pipelines[entry.name] = pipeline
            self._services.append(asyncio.create_task(self._open(pipeline)))
        self._renewal = asyncio.create_task(self._leases.keep_renewed())
        self._services.append(asyncio.create_task(self._claims.keep_claiming()))
        self._services.append(asyncio.create_task(self._desk.keep_turns()))
        self._services.append(asyncio.create_task(self._store.keep_listening(self._claims.wake)))

    def obstacle(self, destination: str) -> str | None:
        """Tell why a delivery to this destination could not be sent right now."""
        pipeline = self._pipelines.get(destination)
        if pipeline is None:
            return f"the destination {destination} is not loaded"
        if not pipeline.entry.enabled:
            return f"the destination {destination} is switched off"
        if (reason := self._pauses.reason(Kind.DESTINATION, destination)) is not None:
            return f"the destination {destination} is paused: {reason}"
        if pipeline.breaker.is_open:
            return f"the breaker of the destination {destination} is open"
        return None if pipeline.opened else f"the destination {destination} is not open yet"

    def obstacles(self) -> dict[str, str | None]:
        """Return what stands in the way of each destination; None: nothing."""
        return {name: self.obstacle(name) for name in self._pipelines}

    def has_room(self, destination: str) -> bool:
        """Tell whether this process should take further deliveries to this destination as they arrive."""
        pipeline = self._pipelines.get(destination)
        if pipeline is None or pipeline.breaker.is_open or pipeline.room <= 0:
            return False
        return self._pauses.reason(Kind.DESTINATION, destination) is None

    def accept(self, kept: Kept, make: Callable[[], KeptNotification], *, urgent: bool) -> None:
        """Run the deliveries whose lanes were taken with the keeping; ``make`` makes the notification where needed."""
        notification: KeptNotification | None = None
        for delivery in kept.deliveries:
            pipeline = self._pipelines.get(delivery.new.destination)
            if delivery.token is None and (pipeline is None or not pipeline.takes_work):
                continue  # it waits in the store
            notification = notification or make()
            if delivery.token is not None:
                self._start(_due(kept, delivery, delivery.token), notification, urgent=urgent)
                continue
            self._remember(notification)
            if not delivery.new.take:
                self._claims.left_behind(delivery.new.destination)

    def _remember(self, notification: KeptNotification) -> None:
        """Keep a notification at hand whose deliveries will soon be claimed, so that it need not be read."""
        if len(notification.notification.body) > _SMALL:
            return
        if len(self._at_hand) >= _AT_HAND:
            self._at_hand.popitem(last=False)
        self._at_hand[notification.id] = notification

    async def stop(self, grace: float) -> None:
        """Hand back what was not sent, finish what is being sent, and let go of the destinations."""
        unsent = [job for pipeline in self._pipelines.values() for job in pipeline.stop()]
        await _end(self._services)
        await self._hand_back(unsent)
        await asyncio.gather(*(pipeline.finish(grace) for pipeline in self._pipelines.values()))
        await _end([*self._tasks, self._renewal])
        for pipeline in self._pipelines.values():
            with suppress(Exception):
                await pipeline.entry.instance.close()

    async def _open(self, pipeline: Pipeline) -> None:
        wait = 1.0
        while not pipeline.opened:
            try:
                await pipeline.entry.instance.open()
            except Exception as error:
                level = log.warning if isinstance(error, Unavailable) else log.error
                level("destination could not be opened", destination=pipeline.entry.name, error=str(error))
                if isinstance(error, Misconfigured):
                    cause = Cause.MISCONFIGURED
                    await self._pauses.pause(Kind.DESTINATION, pipeline.entry.name, str(error), cause=cause)
                await asyncio.sleep(wait)
                wait = min(2 * wait, 60.0)
            else:
                pipeline.opened = True
        await self._pauses.resume_if(Kind.DESTINATION, pipeline.entry.name, Cause.MISCONFIGURED)
        self._claims.wake()

    async def _look_around(self) -> None:
        """See what a person ordered meanwhile, and hand back what cannot be sent."""
        moment = self._store.now()
        if moment - self._refreshed_at > POLL * SECOND:
            await self._pauses.refresh()
            self._refreshed_at = moment
        await self._give_up_stalled()

    def _rooms(self) -> dict[str, int]:
        return {name: room for name in self._pipelines if (room := self._room(name)) > 0}

    def _room(self, destination: str) -> int:
        if self._pauses.reason(Kind.DESTINATION, destination) is not None:
            return 0
        room = self._pipelines[destination].room
        return min(room, 1) if self._pauses.probing(Kind.DESTINATION, destination) else room

    async def _give_up_stalled(self) -> None:
        """Hand back what waits for a destination that takes nothing now, so that its leases need not be renewed."""
        stalled = [
            pipeline
            for name, pipeline in self._pipelines.items()
            if pipeline.breaker.is_open or self._pauses.reason(Kind.DESTINATION, name) is not None
        ]
        for pipeline in stalled:
            jobs = pipeline.take_back()
            pipeline.left(len(jobs))
            await self._hand_back(jobs)

    async def _hand_back(self, jobs: Iterable[Job]) -> None:
        held = [job.due for job in jobs]
        if not held:
            return
        for due in held:
            self._leases.forget(due.lane_id, due.token)
        await self._store.release(held)
        for due in held:
            self._claims.left_behind(due.destination)

    async def _start_all(self, claimed: list[Due]) -> None:
        if not claimed:
            return
        wanted = {due.notification_id for due in claimed}
        notifications = {id_: found for id_ in wanted if (found := self._at_hand.get(id_)) is not None}
        if missing := sorted(wanted - notifications.keys()):
            notifications |= await self._store.read(lambda connection: records.load(connection, missing))
        for due in claimed:
            self._start(due, notifications[due.notification_id], urgent=False)

    def _start(self, due: Due, kept: KeptNotification, *, urgent: bool) -> None:
        self._leases.hold(due.lane_id, due.token, due.lease_until)
        found = self._current.delivery(due.route, due.name)
        pipeline = self._pipelines.get(due.destination)
        if found is None or pipeline is None or found[1].destination != due.destination:
            self._spawn(self._wait_for_route(due, kept))
            return
        job = Job(due=due, kept=kept, route=found[0], spec=found[1], urgent=urgent)
        pipeline.underway += 1
        if job.spec.needs:
            self._spawn(self._fetch_then_send(job, pipeline))
        else:
            pipeline.put(job)

    async def _wait_for_route(self, due: Due, kept: KeptNotification) -> None:
        text = f"the delivery {due.name} of the route {due.route} to {due.destination} is not in the routes file"
        until = self._store.now() + int(NOT_LOADED * SECOND)
        settlement = Settlement(
            due=due, attempt_id=None, state=DeliveryState.PENDING, due_at=until, counted=False, reason=text
        )
        try:
            await self._store.write(lambda c: alarms.raise_alarm(c, "not loaded", f"{due.route}/{due.name}", text))
            await self._store.settle([settlement])
        finally:
            self._leases.forget(due.lane_id, due.token)
        if due.required:
            self._outcomes.postponed(kept.id, until)

    async def _fetch_then_send(self, job: Job, pipeline: Pipeline) -> None:
        try:
            job.records = await self._desk.records(job.kept, urgent=job.urgent)
        except (PutOff, GivenUp) as error:
            pipeline.left(1)
            wait = max(0.0, (error.until - self._store.now()) / SECOND) if isinstance(error, PutOff) else None
            result = Result.REJECTED if wait is None else Result.PUT_OFF
            await self._settle_unsent(job, Attempted(result=result, reason=str(error), retry_after=wait))
        except Exception:
            pipeline.left(1)
            await self._hand_back([job])
            raise
        else:
            pipeline.put(job)

    async def _settle_unsent(self, job: Job, attempted: Attempted) -> None:
        settlement = decide(job.due, job.spec, attempted, attempt_id=None, moment=self._store.now(), jitter=0.5)
        try:
            (settled,) = await self._store.settle([settlement])
        finally:
            self._leases.forget(job.due.lane_id, job.due.token)
        self._settled(job, settlement, settled)

    def _settled(self, job: Job, settlement: Settlement, settled: Settled) -> None:
        """Follow up: the next delivery of the lane, the outcome, or the wait for another attempt."""
        if not settled.accepted:
            text = "a settlement came too late: the lease was lost, and the delivery is due again"
            _log_of(job).warning(text)
            return
        if settlement.state is DeliveryState.DEAD:
            _log_of(job).warning("delivery is dead", reason=settlement.reason)
        elif settlement.state is DeliveryState.PENDING:
            _log_of(job).info("delivery waits", reason=settlement.reason)
        elif self._pauses.probing(Kind.DESTINATION, job.spec.destination):
            self._spawn(self._pauses.worked(Kind.DESTINATION, job.spec.destination))
        if settled.next is not None:
            self._spawn(self._start_all([settled.next]))
        if settled.outcome is not None:
            self._outcomes.tell(job.due.notification_id, settled.outcome)
            self._reporter.wake()
        elif settlement.state is DeliveryState.PENDING and job.due.required:
            self._outcomes.postponed(job.due.notification_id, settlement.due_at)
        if settlement.state is DeliveryState.PENDING:
            self._claims.due_at(settlement.due_at)

    def _misconfigured(self, destination: str, reason: str) -> None:
        self._spawn(self._pauses.pause(Kind.DESTINATION, destination, reason, cause=Cause.MISCONFIGURED))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a step of the worker broke off; its lease will lapse", error=str(error), exc_info=error)


def _due(kept: Kept, delivery: KeptDelivery, token: str) -> Due:
    """Return a delivery that was kept and taken as one that is due."""
    return Due(
        id=delivery.id,
        notification_id=kept.id,
        lane_id=delivery.lane_id,
        token=token,
        lease_until=kept.lease_until,
        number=delivery.number,
        route=delivery.new.route,
        name=delivery.new.name,
        destination=delivery.new.destination,
        delivery_key=delivery.new.delivery_key,
        required=delivery.new.required,
    )


def _log_of(job: Job) -> Any:
    return log.bind(notification=job.kept.notification.key, route=job.route.name, delivery=job.spec.name)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
