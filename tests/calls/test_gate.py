"""The gate to doForms, asked as its users ask, by a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.calls.account_limits import Priority
from gateway.calls.bulkhead import CallQueue
from gateway.calls.client import AccountClient
from gateway.calls.gate import Gate
from gateway.errors import DoformsError
from gateway.models import Outcome, ReasonCode, RecordKind
from gateway.pauses import Cause, Kind, Pauses
from gateway.retry import Deferred
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.transaction_time import SECOND
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES, TEXT, whole
from tests.support.sink import load_routes
from tests.support.virtual_time import StoreInVirtualTime, micros, run, seconds

SILENT = "acme$$1$$Published$$3"
"""A web service of the tests' routes that has no password."""


class Doforms:
    """Answers each call after ``takes`` seconds, by the steps of a script; then with a record."""

    def __init__(self) -> None:
        self.script: list[httpx.Response | Exception] = []
        self.takes = 1.0
        self.asked: list[str] = []
        self.at: list[float] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path.rpartition("/")[2])
        self.at.append(round(seconds(), 6))
        await asyncio.sleep(self.takes)
        step = self.script.pop(0) if self.script else httpx.Response(200, json={"key": "r1"})
        if isinstance(step, Exception):
            raise step
        return step


class Gateway:
    """A gate with what stands behind it."""

    def __init__(self, folder: Path, *, a_minute: int = 60_000, in_flight: int = 1) -> None:
        text = ROUTES.format(api="https://doforms.example/api/v2", webservice=WEBSERVICE, more="", text=TEXT)
        limits = f"requests_per_minute = {a_minute}\nmax_in_flight = {in_flight}"
        self.store: Any = StoreInVirtualTime()
        self.doforms = Doforms()
        self.active = ActiveRoutes(load_routes(folder, text.replace("requests_per_minute = 60000", limits)))
        self.pauses = Pauses(self.store)
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self.doforms))
        self.client = AccountClient(self.http, self.store, paused=self._paused, clock=seconds)
        self.gate = Gate(store=self.store, active=self.active, client=self.client, pauses=self.pauses)

    def _paused(self, webservice_id: str) -> str | None:
        return self.pauses.reason(Kind.WEBSERVICE, webservice_id)

    async def fetch(self, key: str = "r1", priority: Priority = Priority.FETCH) -> bytes:
        async with self.gate.permit(WEBSERVICE, priority) as client:
            return await client.fetch(RecordKind.SUBMISSION, key, take=whole)

    async def report(self, key: str) -> None:
        async with self.gate.permit(WEBSERVICE, Priority.REPORT) as client:
            await client.report(key, Outcome.COMPLETED, may_send=lambda: True)

    def start(self, key: str, priority: Priority = Priority.FETCH) -> asyncio.Task[bytes]:
        return asyncio.create_task(self.fetch(key, priority))

    async def deferred(self, call: Awaitable[object]) -> Deferred:
        with pytest.raises(Deferred) as raised:
            await call
        return raised.value

    async def close(self) -> None:
        await self.client.aclose()
        await self.http.aclose()
        self.store.close()


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Play a scene with a gateway of its own, in virtual time."""

    def play(scene: Callable[[Gateway], Awaitable[None]], **limits: int) -> None:
        async def played() -> None:
            gateway = Gateway(tmp_path, **limits)
            try:
                await scene(gateway)
            finally:
                await gateway.close()

        run(played())

    return play


Play = Callable[..., None]


def test_calls_go_by_their_priority_and_then_in_order_of_arrival(play: Play) -> None:
    async def scene(gateway: Gateway) -> None:
        order = [
            ("first", Priority.FETCH),
            ("old", Priority.BACKFILL),
            ("photo", Priority.ATTACHMENT),
            ("live", Priority.FETCH),
            ("urgent", Priority.IMMEDIATE_FETCH),
        ]
        calls = []
        for key, priority in order:
            calls.append(gateway.start(key, priority))
            await asyncio.sleep(0.01)
        await asyncio.gather(*calls)
        assert gateway.doforms.asked == ["first", "urgent", "live", "photo", "old"]

    play(scene)


def test_no_more_calls_are_under_way_than_the_account_may_make(play: Play) -> None:
    async def scene(gateway: Gateway) -> None:
        await asyncio.gather(*(gateway.start(f"r{number}") for number in range(6)))
        assert gateway.doforms.at == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]

    play(scene, in_flight=2)


def test_calls_keep_to_the_rate_of_their_account(play: Play) -> None:
    async def scene(gateway: Gateway) -> None:
        gateway.doforms.takes = 0.0
        await asyncio.gather(*(gateway.start(f"r{number}") for number in range(4)))
        assert all(after - before >= 1.0 for before, after in pairwise(gateway.doforms.at))
        assert gateway.doforms.at[-1] < 4.0

    play(scene, a_minute=60, in_flight=4)


def test_a_caller_that_goes_away_gives_its_turn_to_the_next(play: Play) -> None:
    async def scene(gateway: Gateway) -> None:
        under_way, waiting, last = gateway.start("a"), gateway.start("b"), gateway.start("c")
        await asyncio.sleep(0.1)
        waiting.cancel()
        under_way.cancel()
        await asyncio.sleep(0)
        await last
        assert gateway.doforms.asked == ["a", "c"]
        assert gateway.doforms.at[1] < 0.2, "the slot of the one that was under way is free"

    play(scene)


def test_too_many_requests_hold_back_all_calls_of_the_account_for_as_long_as_doforms_says(play: Play) -> None:
    async def scene(gateway: Gateway) -> None:
        gateway.doforms.script = [httpx.Response(429, headers={"Retry-After": "90"})]
        with pytest.raises(DoformsError):
            await gateway.fetch()
        told = await gateway.deferred(gateway.fetch())
        assert (told.code, told.subject) == (ReasonCode.ACCOUNT_WAITS, "acme")
        assert told.until - micros() == pytest.approx(90 * SECOND, abs=SECOND)
        await asyncio.sleep(90)
        assert await gateway.fetch()

    play(scene)


def test_what_waits_for_an_account_looks_again_one_after_the_other_whatever_it_waits_for(play: Play) -> None:
    async def scene(gateway: Gateway) -> None:
        gateway.doforms.script = [httpx.Response(429, headers={"Retry-After": "90"})]
        with pytest.raises(DoformsError):
            await gateway.fetch()
        looks = []
        for number in range(10):
            call = gateway.report("n1") if number % 2 else gateway.fetch()
            looks.append((await gateway.deferred(call)).until)
        assert all(after - before == SECOND for before, after in pairwise(looks)), "one look in each second, not two"

    play(scene, a_minute=60)


def test_silence_pauses_the_account_for_longer_each_time_and_an_answer_ends_that(play: Play) -> None:
    async def scene(gateway: Gateway) -> None:
        gateway.doforms.takes = 0.0
        gateway.doforms.script = [httpx.ConnectError("no route to host") for _ in range(8)]
        for _ in range(7):
            with pytest.raises(DoformsError):
                await gateway.fetch()
        gaps = [round(after - before) for before, after in pairwise(gateway.doforms.at)]
        assert gaps == [0, 0, 0, 0, 2, 4]
        told = await gateway.deferred(gateway.fetch())
        assert told.until - micros() == pytest.approx(8 * SECOND, abs=SECOND)
        await asyncio.sleep(8)
        with pytest.raises(DoformsError):
            await gateway.fetch()
        await asyncio.sleep(16)
        assert await gateway.fetch()
        gateway.doforms.script = [httpx.ConnectError("no route to host") for _ in range(4)]
        for _ in range(4):
            with pytest.raises(DoformsError):
                await gateway.fetch()
        assert await gateway.fetch(), "what came before the answer counts no more"

    play(scene)


def test_a_refused_password_pauses_the_web_service_for_everybody_until_a_call_works(play: Play) -> None:
    async def scene(gateway: Gateway) -> None:
        gateway.doforms.script = [httpx.Response(401)]
        first, second = gateway.start("a"), gateway.start("b")
        told = await gateway.deferred(first)
        assert (told.code, told.subject) == (ReasonCode.WEBSERVICE_WAITS, WEBSERVICE)
        assert "inspection is paused: doForms answered 401" in str(await gateway.deferred(second))
        assert gateway.doforms.asked == ["a"], "what waited for its turn is not called any more"
        await asyncio.sleep(3600)
        assert await gateway.fetch(), "one call shows whether it is mended"
        assert gateway.pauses.reason(Kind.WEBSERVICE, WEBSERVICE) is None
        assert not gateway.pauses.probing(Kind.WEBSERVICE, WEBSERVICE)

    play(scene)


def test_a_call_that_worked_counts_though_the_end_of_the_pause_cannot_be_written(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(gateway: Gateway) -> None:
        async def full(*_: object) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(gateway.pauses, "worked", full)
        assert await gateway.fetch()

    play(scene)


def test_a_quota_that_is_used_up_holds_the_web_service_until_it_is_renewed(play: Play) -> None:
    async def scene(gateway: Gateway) -> None:
        gateway.doforms.script = [httpx.Response(400, text="daily webservice quota exceeded")]
        await gateway.deferred(gateway.fetch())
        assert await gateway.deferred(gateway.fetch())
        assert len(gateway.doforms.asked) == 1
        await asyncio.sleep(86_400)
        assert await gateway.fetch()

    play(scene)


def test_a_web_service_that_a_person_resumes_is_called_at_once(play: Play) -> None:
    async def scene(gateway: Gateway) -> None:
        await gateway.pauses.pause(Kind.WEBSERVICE, WEBSERVICE, "moved", cause=Cause.ORDERED)
        told = await gateway.deferred(gateway.fetch())
        assert told.until >= micros() + 55 * SECOND
        await gateway.pauses.resume(Kind.WEBSERVICE, WEBSERVICE)
        assert await gateway.fetch()

    play(scene)


@pytest.mark.parametrize(
    ("ident", "why"),
    [(SILENT, "has no password in the routes file"), ("acme$$9", "is not in the routes file")],
)
def test_a_web_service_that_cannot_be_called_as_the_routes_are_is_waited_for(play: Play, ident: str, why: str) -> None:
    async def scene(gateway: Gateway) -> None:
        async def call() -> None:
            async with gateway.gate.permit(ident, Priority.FETCH):
                raise AssertionError("there is nobody to call for")

        told = await gateway.deferred(call())
        assert why in str(told)
        assert (told.code, told.subject) == (ReasonCode.WEBSERVICE_WAITS, ident)

    play(scene)


def test_a_full_queue_puts_off_who_comes_then_and_lets_in_who_comes_later(play: Play) -> None:
    async def scene(gateway: Gateway) -> None:
        leave = asyncio.Event()

        async def stand() -> None:
            async with gateway.gate.queue(WEBSERVICE, CallQueue.REPORTS):
                await leave.wait()

        standing = [asyncio.create_task(stand()) for _ in range(2)]
        await asyncio.sleep(0)
        told = await gateway.deferred(stand())
        assert told.in_line
        assert told.until > micros()
        async with gateway.gate.queue(WEBSERVICE, CallQueue.RECORDS):
            pass  # each kind of call has a queue of its own
        leave.set()
        await asyncio.gather(*standing)
        await stand()

    play(scene, a_minute=15)
