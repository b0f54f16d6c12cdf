"""Drift seen by two processes that share a PostgreSQL store: told once, and counted together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from gateway.delivery.preparing.prepare import Job
from gateway.drift.tracker import Drift
from gateway.models import Event, FetchState, Receipt, Record
from gateway.records.fetcher import Records
from gateway.routing.active import ActiveRoutes
from gateway.store.store import Store
from gateway.store.tables import questions
from gateway.store.work import alarms
from gateway.store.work.alarms import Alarm
from gateway.store.work.queue import Due
from gateway.store.work.records import KeptNotification
from tests.support.keeping import WEBSERVICE, notification
from tests.support.parts import ROUTES
from tests.support.postgresql import Server
from tests.support.records import answer, decode
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="function")


class Process:
    """One of the processes: its store, its routes, and what it makes of records."""

    def __init__(self, store: Store, folder: Path) -> None:
        text = ROUTES.format(api="http://127.0.0.1:1", webservice=WEBSERVICE, more="", text="{{ record.fields.site }}")
        self.store = store
        self.active = ActiveRoutes(load_routes(folder, text))
        self.drift = Drift(store=store, active=self.active)

    def saw(self, *records: Record) -> None:
        webservice = self.active.webservice(WEBSERVICE)
        assert webservice is not None
        for one in records:
            self.drift.saw(webservice, one)

    def delivered(self, one: Record, **left_out: str) -> None:
        found = self.active.delivery("route", "table")
        assert found is not None
        due: Any = Due(
            id=1, notification_id=1, lane_id=1, token="", lease_until=0, number=1, route="route", name="table",
            destination="table", delivery_key="d1", required=True,
        )  # fmt: skip
        kept = KeptNotification(
            id=1,
            notification=notification("n1", record="r1", event=Event.CREATE),
            account="acme",
            webservice="inspection",
            fetch_state=FetchState.NONE,
        )
        job = Job(due=due, kept=kept, route=found[0], spec=found[1], records=Records(record=one, known=True))
        self.drift.delivered(job, Receipt(summary="taken", left_out=left_out))

    async def alarms(self) -> list[Alarm]:
        return list(await self.store.read(alarms.list_alarms))


@pytest.fixture
async def processes(postgresql: Server, tmp_path: Path) -> AsyncIterator[list[Process]]:
    url = postgresql.make_database()
    async with AsyncExitStack() as stack:
        stores = [Store(url, lease=30.0) for _ in range(3)]
        for store in stores:
            await store.open()
            stack.push_async_callback(store.close)
        yield [Process(store, tmp_path) for store in stores]


def record(**answers: Any) -> Record:
    return decode(*(answer(*pair) for pair in answers.items()))


async def write_at_once(processes: list[Process]) -> None:
    """Let two of them begin to write while a third one has the rows, so that both wait for the same."""
    *two, third = processes
    held, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(connection: Any) -> None:
        connection.execute(select(questions).with_for_update()).all()
        loop.call_soon_threadsafe(held.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)

    holding = asyncio.create_task(third.store.write(hold))
    await held.wait()
    writing = [asyncio.create_task(one.drift.write()) for one in two]
    await asyncio.sleep(0.5)
    go_on.set()
    await asyncio.gather(holding, *writing)


async def test_a_new_question_that_both_meet_at_once_is_told_once_and_counted_together(
    processes: list[Process],
) -> None:
    one, other, _ = processes
    one.saw(*[record(site="Dock")] * 12)
    await one.drift.write()
    await other.drift.write()
    for each in (one, other):
        each.saw(*[record(site="Dock", hazard="Gas")] * 3)
    with capture_logs() as logged:
        await write_at_once(processes)
    assert [(alarm.kind, alarm.times) for alarm in await one.alarms()] == [("new questions", 1)]
    assert [line["event"] for line in logged] == ["alarm raised"]
    counted = select(questions.c.path, questions.c.seen).order_by(questions.c.path)
    rows = await one.store.read(lambda connection: connection.execute(counted).all())
    assert [tuple(row) for row in rows] == [("", 18), ("hazard", 6), ("site", 18)]


async def test_a_form_that_both_meet_for_the_first_time_at_once_is_counted_together(processes: list[Process]) -> None:
    for each in processes[:2]:
        each.saw(*[record(site="Dock")] * 5)
    await write_at_once(processes)
    counted = select(questions.c.seen).where(questions.c.path == "")
    assert await processes[0].store.read(lambda connection: connection.execute(counted).scalar()) == 10


async def test_a_missing_question_is_told_once_and_not_again_when_a_person_has_cleared_it(
    processes: list[Process],
) -> None:
    one, other, _ = processes
    one.saw(*[record(site="Dock", risk="High")] * 20)
    await one.drift.write()
    for each in (one, other):
        each.saw(*[record(risk="High")] * 12)
    with capture_logs() as logged:
        await write_at_once(processes)
    [alarm] = await one.alarms()
    assert (alarm.kind, alarm.times) == ("question missing", 1)
    await one.store.write(lambda connection: alarms.clear_by_id(connection, alarm.id))
    for each in (one, other):
        each.saw(*[record(risk="High")] * 12)
        await each.drift.write()
    assert await one.alarms() == []
    assert [line["event"] for line in logged] == ["alarm raised"]
    other.saw(record(site="Dock", risk="High"))
    await other.drift.write()
    one.saw(*[record(risk="High")] * 60)
    await one.drift.write()
    assert [alarm.kind for alarm in await other.alarms()] == ["question missing"]


async def test_a_question_left_out_is_told_once_by_all_and_settled_by_whichever_has_it_taken(
    processes: list[Process],
) -> None:
    one, other, _ = processes
    for each in (one, other):
        await each.drift.write()
    with capture_logs() as logged:
        for each in (one, other, one):
            each.delivered(record(remarks="wet"), remarks="there is no such column")
            await each.drift.write()
            await other.drift.write()
    [alarm] = await one.alarms()
    assert (alarm.kind, alarm.times) == ("question left out", 1)
    assert [line["event"] for line in logged] == ["alarm raised"]
    await one.store.write(lambda connection: alarms.clear_by_id(connection, alarm.id))
    other.delivered(record(remarks="wet"), remarks="there is no such column")
    await other.drift.write()
    assert await one.alarms() == []


async def test_a_question_that_one_was_told_of_is_settled_when_another_has_it_taken(processes: list[Process]) -> None:
    one, other, _ = processes
    for each in (one, other):
        await each.drift.write()
    one.delivered(record(remarks="wet"), remarks="there is no such column")
    await one.drift.write()
    await other.drift.write()
    other.delivered(record(remarks="wet"))
    await other.drift.write()
    assert await one.alarms() == []
