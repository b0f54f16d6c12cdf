"""The worker by itself: what it does with what is due, by a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.config.loaded import DeliverySpec, Route
from gateway.delivery.availability import Availability, DestinationStatus
from gateway.delivery.follow_up import FollowUp
from gateway.delivery.preparing.prepare import Job
from gateway.delivery.waiters import OutcomeWaiters
from gateway.delivery.worker import Worker
from gateway.destinations.destination import Traits
from gateway.destinations.options import Options
from gateway.jobs import Due, Settled, Settlement
from gateway.models import DeliveryState, Outcome
from gateway.retry import Deferred, GivenUp
from gateway.store.engine.transaction_time import NEVER, SECOND
from gateway.store.work.records import KeptNotification
from tests.support.keeping import notification
from tests.support.virtual_time import micros, run, seconds

ROUTE = Route(name="route")


def spec(*, needs: bool = False) -> DeliverySpec:
    wanted = frozenset({"record"} if needs else ())
    return DeliverySpec(
        route="route", name="table", destination="table", options=Options(), traits=Traits(), needs=wanted
    )


def due(number: int = 1, **more: Any) -> Due:
    values: dict[str, Any] = {
        "id": number, "notification_id": number, "lane_id": number, "token": "t", "lease_until": 0.0, "number": 1,
        "route": "route", "name": "table", "destination": "table", "delivery_key": f"k{number}", "required": True,
    }  # fmt: skip
    return Due(**(values | more))


def kept(number: int = 1) -> KeptNotification:
    return KeptNotification(
        id=number, notification=notification(f"n{number}"), account="acme", webservice="inspection", fetch_state=None
    )  # type: ignore[arg-type]


class Pipe:
    """A pipeline that keeps what it is given."""

    def __init__(self) -> None:
        self.takes_work = True
        self.underway = 0
        self.put_in: list[int] = []

    def put(self, job: Job) -> None:
        self.put_in.append(job.due.id)

    def left(self, count: int) -> None:
        self.underway -= count

    def stepping_aside(self) -> Any:
        return nullcontext()


class Scene:
    """A worker whose parts are played by this one object; what they are asked is written down."""

    def __init__(self) -> None:
        self.pipe = Pipe()
        self.specs: dict[str, DeliverySpec] = {"route": spec()}
        self.claimed: list[list[Due]] = []
        self.standing = Availability(DestinationStatus.READY, None, 3)
        self.stalled: list[Job] = []
        self.not_sent: list[Job] = []
        self.fetching: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.held: list[int] = []
        self.handed_back: list[int] = []
        self.unsent: list[tuple[int, str]] = []
        self.wakes_at: list[int] = []
        self.behind: list[str] = []
        self.looks: list[float] = []
        self.woken = 0
        self.stopped = asyncio.Event()
        self.waiters = OutcomeWaiters()
        parts: Any = self
        follow_up = FollowUp(waiters=self.waiters, reporter=parts, pauses=parts)
        self.worker = Worker(parts, inputs=parts, pool=parts, claims=parts, unsent=parts, follow_up=follow_up)

    # The store, the reporter and the pauses
    async def read(self, query: Any) -> dict[int, KeptNotification]:
        return {number: kept(number) for number in range(1, 10)}

    def wake(self) -> None:
        self.woken += 1

    def probing(self, *_: Any) -> bool:
        return False

    # What a delivery needs
    def job_of(self, due: Due, kept: KeptNotification, *, urgent: bool = False) -> Job | None:
        found = self.specs.get(due.route)
        return None if found is None else Job(due=due, kept=kept, route=ROUTE, spec=found, urgent=urgent)

    def is_current(self, job: Job) -> bool:
        return self.specs.get(job.due.route) is job.spec

    async def fetch_record(self, job: Job, aside: Any) -> None:
        if self.fetching is not None:
            await self.fetching()

    async def fetch_rest(self, job: Job, aside: Any) -> None:
        """Nothing more is needed."""

    # The pool
    def get(self, name: str) -> Pipe | None:
        return self.pipe if name == "table" else None

    def load(self, entries: Any) -> list[Job]:
        stalled, self.stalled = self.stalled, []
        return stalled

    def availability(self, name: str) -> Availability:
        return self.standing

    def take_back_stalled(self) -> list[Job]:
        stalled, self.stalled = self.stalled, []
        return stalled

    def stop(self) -> list[Job]:
        if not self.stopped.is_set():  # the claims are stopped first, then the pool
            self.stopped.set()
            return []
        left, self.not_sent = self.not_sent, []
        return left

    async def finish(self, until: float) -> None:
        """Nothing is being sent."""

    # The claims
    async def keep_looking(self, look: Any) -> None:
        while not self.stopped.is_set():
            self.looks.append(await look())
            await asyncio.sleep(self.looks[-1])

    async def refresh_pauses(self) -> None:
        """Nobody ordered anything."""

    async def claim(self) -> tuple[list[Due], float]:
        return (self.claimed.pop(0), 0.0) if self.claimed else ([], 1.0)

    def hold(self, due: Due) -> None:
        self.held.append(due.id)

    async def hand_back(self, held: list[Due]) -> None:
        self.handed_back += [one.id for one in held]

    def left_behind(self, destination: str) -> None:
        self.behind.append(destination)

    def due_at(self, moment: int) -> None:
        self.wakes_at.append(moment)

    # What is not sent
    async def settle(self, job: Job, why: Exception) -> tuple[Settlement, Settled]:
        self.unsent.append((job.due.id, str(why)))
        state = DeliveryState.PENDING if isinstance(why, Deferred) else DeliveryState.DEAD
        return Settlement(due=job.due, attempt_id=None, state=state, due_at=micros()), Settled(accepted=True)

    async def settle_left(self, jobs: list[Job]) -> list[tuple[Job, Settlement, Settled]]:
        self.unsent += [(job.due.id, "left") for job in jobs]
        again = [Settlement(due=job.due, attempt_id=None, state=DeliveryState.PENDING, due_at=micros()) for job in jobs]
        return [(job, end, Settled(accepted=True)) for job, end in zip(jobs, again, strict=True)]

    async def wait_for_route(self, due: Due) -> int:
        self.unsent.append((due.id, "no route"))
        return micros() + 60 * SECOND

    async def work(self, *claimed: Due, for_: float = 0.5) -> None:
        self.claimed.append(list(claimed))
        self.worker.start({})
        await asyncio.sleep(for_)

    async def end(self) -> None:
        await asyncio.wait_for(self.worker.stop(0.0), 60.0)


def play(scene: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    async def played() -> None:
        made = Scene()
        await scene(made)
        await made.end()

    run(played())


def job(scene: Scene, number: int = 1) -> Job:
    made = scene.job_of(due(number), kept(number))
    assert made is not None
    return made


def test_what_is_due_is_held_and_goes_to_the_pipeline_of_its_destination() -> None:
    async def scene(parts: Scene) -> None:
        await parts.work(due(1), due(2))
        assert (parts.held, parts.pipe.put_in, parts.pipe.underway) == ([1, 2], [1, 2], 2)

    play(scene)


def test_delivery_that_needs_a_record_goes_once_that_is_there() -> None:
    async def scene(parts: Scene) -> None:
        parts.specs["route"] = spec(needs=True)
        parts.fetching = lambda: asyncio.sleep(10.0)
        await parts.work(due(1), for_=9.0)
        assert parts.pipe.put_in == []
        await asyncio.sleep(2.0)
        assert parts.pipe.put_in == [1]

    play(scene)


@pytest.mark.parametrize("why", [Deferred(7, "later"), GivenUp("never")])
def test_delivery_that_lacks_what_it_needs_is_settled_unsent_and_leaves_its_place(why: Exception) -> None:
    async def scene(parts: Scene) -> None:
        async def fails() -> None:
            raise why

        parts.specs["route"], parts.fetching = spec(needs=True), fails
        await parts.work(due(1))
        assert parts.unsent == [(1, str(why))]
        assert (parts.pipe.put_in, parts.pipe.underway) == ([], 0)

    play(scene)


def test_routes_that_changed_while_a_record_was_fetched_lead_the_delivery_anew() -> None:
    async def scene(parts: Scene) -> None:
        parts.specs["route"] = spec(needs=True)
        parts.fetching = lambda: asyncio.sleep(1.0)
        await parts.work(due(1))
        parts.specs["route"] = spec()
        await asyncio.sleep(1.0)
        assert (parts.pipe.put_in, parts.pipe.underway) == ([1], 1)

    play(scene)


def test_delivery_whose_route_is_not_loaded_waits_and_so_does_one_whose_destination_is_not() -> None:
    async def scene(parts: Scene) -> None:
        waiting = parts.waiters.expect(1, micros())
        await parts.work(due(1, route="gone"), due(2, destination="gone"))
        assert parts.unsent == [(1, "no route"), (2, "no route")]
        assert waiting.result() is None, "its request is answered empty"

    play(scene)


def test_delivery_to_a_destination_that_takes_nothing_is_handed_back() -> None:
    async def scene(parts: Scene) -> None:
        parts.pipe.takes_work = False
        await parts.work(due(1))
        assert (parts.handed_back, parts.pipe.underway) == ([1], 0)

    play(scene)


def test_what_waits_for_a_destination_that_is_down_is_handed_back_before_the_next_look() -> None:
    async def scene(parts: Scene) -> None:
        await parts.work(for_=0.0)
        parts.stalled = [job(parts, 3)]
        waiting = parts.waiters.expect(3, NEVER - 1)
        await asyncio.sleep(1.5)
        assert parts.handed_back == [3]
        assert waiting.result() is None, "whoever waits for it is told"

    play(scene)


def test_what_a_dead_process_left_is_settled_before_it_is_tried() -> None:
    async def scene(parts: Scene) -> None:
        await parts.work(due(1, left_by="dead"), due(2))
        assert parts.unsent == [(1, "left")]
        assert parts.pipe.put_in == [2]

    play(scene)


def test_settlement_that_came_too_late_starts_nothing() -> None:
    async def scene(parts: Scene) -> None:
        await parts.work()
        end = Settlement(due=due(1), attempt_id=1, state=DeliveryState.PENDING, due_at=micros())
        with capture_logs() as logged:
            parts.worker.settled(job(parts), end, Settled(accepted=False, next=due(2)))
            await asyncio.sleep(0.1)
        assert (parts.held, parts.wakes_at) == ([], [])
        assert [line["log_level"] for line in logged] == ["warning"]

    play(scene)


def test_next_delivery_of_a_lane_starts_when_the_one_before_is_settled() -> None:
    async def scene(parts: Scene) -> None:
        await parts.work()
        end = Settlement(due=due(1), attempt_id=1, state=DeliveryState.DELIVERED)
        parts.worker.settled(job(parts), end, Settled(accepted=True, next=due(2)))
        await asyncio.sleep(0.1)
        assert (parts.held, parts.pipe.put_in) == ([2], [2])

    play(scene)


def test_outcome_is_told_to_the_request_that_waits_and_to_the_reporter() -> None:
    async def scene(parts: Scene) -> None:
        waiting = parts.waiters.expect(1, NEVER)
        before = parts.woken
        end = Settlement(due=due(1), attempt_id=1, state=DeliveryState.DELIVERED)
        await parts.work()
        parts.worker.settled(job(parts), end, Settled(accepted=True, outcome=Outcome.COMPLETED))
        assert waiting.result() is Outcome.COMPLETED
        assert parts.woken > before

    play(scene)


def test_delivery_that_waits_is_looked_for_when_it_is_due() -> None:
    async def scene(parts: Scene) -> None:
        await parts.work()
        end = Settlement(due=due(1), attempt_id=1, state=DeliveryState.PENDING, due_at=micros() + 5 * SECOND)
        parts.worker.settled(job(parts), end, Settled(accepted=True))
        assert parts.wakes_at == [end.due_at]

    play(scene)


def test_worker_that_stops_hands_back_what_was_not_sent_and_what_is_being_fetched() -> None:
    async def scene(parts: Scene) -> None:
        parts.specs["route"] = spec(needs=True)
        parts.fetching = lambda: asyncio.sleep(3600.0)
        await parts.work(due(1))
        parts.not_sent = [job(parts, 2)]
        began = seconds()
        await parts.worker.stop(began + 20.0)
        assert sorted(parts.handed_back) == [1, 2]
        assert seconds() - began < 20.0, "nothing is being sent, so nothing is waited for"

    play(scene)


@pytest.mark.parametrize(("capacity", "reason", "takes"), [(3, None, True), (0, None, False), (1, "it is down", False)])
def test_further_deliveries_are_taken_only_where_there_is_capacity_and_no_obstacle(
    capacity: int, reason: str | None, takes: bool
) -> None:
    async def scene(parts: Scene) -> None:
        await parts.work()
        parts.standing = Availability(DestinationStatus.READY, reason, capacity)
        assert parts.worker.has_room("table") is takes
        assert parts.worker.obstacle("table") == reason

    play(scene)
