"""Several gateways on one PostgreSQL store behave as one, whatever happens to one of them."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import FORM, OTHER, Make
from tests.end_to_end.several import LEASE, Several, several_gateways
from tests.support.postgresql import Server

ROW = (
    'to = "table"\ntable = "plain"\ndelivery_key = "delivery_key"\n'
    'columns = { record = "{{ record.key }}", event = "{{ notification.key }}" }'
)
AUDIT = ROW.replace('table = "plain"', 'table = "audit"\nname = "audit"')
POST = 'to = "service"\npath = "records"\njson = { key = "{{ notification.key }}" }'


@pytest.fixture
async def several(tmp_path: Path, postgresql: Server) -> AsyncIterator[Several]:
    async with several_gateways(tmp_path, postgresql) as made:
        yield made


async def settled(several: Several, count: int, *, timeout: float = 30.0) -> None:
    """Wait until every delivery has ended."""
    pending = "SELECT count(*) FILTER (WHERE state = 'pending'), count(*) FROM deliveries"
    await several.doforms.until(lambda: several.stored(pending) == [(0, count)], timeout=timeout)


async def test_of_fifty_repeats_at_once_over_two_gateways_one_is_kept(several: Several, route: Make) -> None:
    several.write(route(ROW))
    await several.start()
    seen = several.doforms.compose(FORM, "create", submission_key="r1", key="n1")
    answers = await asyncio.gather(*(several.doforms.post(seen.body) for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    await settled(several, 1)
    assert several.stored("SELECT count(*), sum(repeats) FROM notifications") == [(1, 49)]
    assert several.rows("SELECT record FROM plain") == [("r1",)]
    await several.stop()


async def test_events_of_one_record_stay_in_order_whichever_gateway_they_come_to(several: Several, route: Make) -> None:
    several.write(route(ROW, POST), count=3)
    await several.start()
    sent = await several.send(120, records=4)
    await settled(several, 240)
    for number in range(4):
        order = [seen.key for seen in sent[30 * number : 30 * number + 30]]
        rows = several.rows(f"SELECT event FROM plain WHERE record = 'r{number}' ORDER BY id")
        assert [key for (key,) in rows] == order
        assert [one.body["key"] for one in several.rest.taken if one.body["key"] in order] == order
    await several.doforms.until(lambda: all(seen.belief == "completed" for seen in sent))
    assert max(len(seen.puts) for seen in sent) <= 1
    await several.stop()


async def test_what_a_killed_gateway_held_is_done_by_another_within_a_lease(several: Several, route: Make) -> None:
    several.write(route(POST.replace("records", "slow"), head='mode = "delayed"'))
    await several.start()
    first = several.gateways[0]
    several.send_to(first)
    (seen,) = await several.send(1, records=1)
    await several.doforms.until(lambda: several.rest.taken)
    first.kill()
    killed = time.monotonic()
    await several.doforms.until(lambda: seen.belief == "completed", timeout=LEASE + 5)
    assert time.monotonic() - killed < LEASE + 2.0 + 1.5  # the slow answer, and a look each second
    assert len(several.rest.taken) == 2
    assert len(several.rest.effects) == 1
    await several.stop()


async def test_a_gateway_that_slept_longer_than_its_lease_settles_nothing_and_sends_nothing_twice(
    several: Several, route: Make
) -> None:
    several.write(route(ROW, AUDIT, head='mode = "delayed"'))
    await several.start()
    first, second = several.gateways
    load = asyncio.create_task(several.send(300, records=30))
    await asyncio.sleep(0.5)
    first.process.send_signal(signal.SIGSTOP)
    several.send_to(second)
    await asyncio.sleep(LEASE + 1.5)
    await load
    await settled(several, 600)
    first.process.send_signal(signal.SIGCONT)
    several.send_to(first, second)
    await several.send(30, records=30)
    await settled(several, 660)
    for table in ("plain", "audit"):
        assert several.rows(f"SELECT count(*), count(DISTINCT delivery_key) FROM {table}") == [(330, 330)]
        for number in range(30):
            rows = several.rows(f"SELECT event FROM {table} WHERE record = 'r{number}' ORDER BY id")
            order = [
                seen.key for seen in several.doforms.notifications.values() if f'"r{number}"' in seen.body.decode()
            ]
            assert [key for (key,) in rows] == order
    await several.stop()


async def test_a_restart_of_the_database_under_load_needs_no_restart_of_a_gateway(
    several: Several, route: Make
) -> None:
    several.write(route(ROW) + route(AUDIT, head='mode = "delayed"', form="Other", name="two"))
    await several.start()
    load = asyncio.create_task(several.send(400, records=40))
    await asyncio.sleep(0.6)
    await asyncio.to_thread(several.server.stop)
    try:
        await asyncio.sleep(1.0)
        health = [await asyncio.to_thread(gateway.readiness) for gateway in several.gateways]
        refused = await several.doforms.post(several.doforms.compose(FORM, "create", submission_key="r1").body)
    finally:
        await asyncio.to_thread(several.server.start)
    assert [(status, body["status"]) for status, body in health] == [(503, "not ready")] * 2
    assert refused.status == 503
    sent = await load
    await settled(several, 400)
    assert several.rows("SELECT count(*), count(DISTINCT delivery_key) FROM plain") == [(400, 400)]
    await several.doforms.until(lambda: all(seen.belief == "completed" for seen in sent), timeout=20)
    for number in range(40):
        rows = several.rows(f"SELECT event FROM plain WHERE record = 'r{number}' ORDER BY id")
        assert [key for (key,) in rows] == [seen.key for seen in sent[10 * number : 10 * number + 10]]
    assert [await asyncio.to_thread(gateway.readiness) for gateway in several.gateways] != health
    await several.stop()


async def test_the_rate_of_a_destination_holds_over_both(several: Several, route: Make) -> None:
    several.write(route(POST, head='mode = "delayed"'))
    for gateway in several.gateways:
        text = gateway.routes.read_text()
        gateway.routes.write_text(text.replace('plugin = "rest"', 'plugin = "rest"\nrate = "10/s"'))
    await several.start()
    started = time.monotonic()
    await several.send(50, records=50)
    await several.doforms.until(lambda: len(several.rest.taken) == 50, timeout=20)
    assert 3.5 < time.monotonic() - started < 12.0  # ten at once, then ten a second
    await several.stop()


@pytest.mark.parametrize("seed", range(2))
async def test_kills_sleeps_and_ended_sessions_under_load_lose_nothing_and_double_nothing(
    several: Several, route: Make, seed: int
) -> None:
    chance = random.Random(seed)
    routes = route(ROW, AUDIT) + route(ROW, AUDIT, head='mode = "delayed"', form="Other", name="two")
    several.write(routes.replace("[[routes]]", "\n[[routes]]"), count=3)
    await several.start()
    load = asyncio.gather(several.send(240, records=12), several.send(240, records=12, form=OTHER))
    for _ in range(4):
        await asyncio.sleep(chance.uniform(0.3, 1.0))
        await asyncio.to_thread(chance.choice((_kill, _put_to_sleep, _end_sessions)), several, chance)
    first, second = await load
    sent = [*first, *second]
    await settled(several, 2 * len(sent), timeout=40)
    await several.doforms.until(lambda: all(seen.belief == "completed" for seen in sent), timeout=30)
    for table in ("plain", "audit"):
        rows = several.rows(f"SELECT record, event FROM {table} ORDER BY id")
        assert sorted(event for _, event in rows) == sorted(seen.key for seen in sent)
        for record in {record for record, _ in rows}:
            order = [seen.key for seen in sent if seen.document["submissionKey"] == record]
            assert [event for of, event in rows if of == record] == order
    await several.stop()


def _kill(several: Several, chance: random.Random) -> None:
    gateway = chance.choice(several.gateways)
    gateway.kill()
    time.sleep(0.2)
    gateway.start()


def _put_to_sleep(several: Several, chance: random.Random) -> None:
    process = chance.choice(several.gateways).process
    process.send_signal(signal.SIGSTOP)
    time.sleep(chance.uniform(0.5, LEASE + 1))
    process.send_signal(signal.SIGCONT)


def _end_sessions(several: Several, _: random.Random) -> None:
    several.stored(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid != pg_backend_pid()"
    )


async def test_a_process_that_only_receives_wakes_one_that_only_delivers(several: Several, route: Make) -> None:
    several.write(route(POST))
    receives, delivers = several.gateways
    receives.arguments, delivers.arguments = ("--role", "receive"), ("--role", "work")
    await several.start()
    several.send_to(receives)
    took = []
    for number in range(8):
        sent_at = time.monotonic()
        await several.send(1, records=1)
        await several.doforms.until(lambda number=number: len(several.rest.taken) > number)
        took.append(time.monotonic() - sent_at)
        await asyncio.sleep(0.1)
    assert sorted(took)[4] < 0.5  # it looks by itself once a second only
    await several.stop()
