"""A record whose work kills the process cannot stop the gateway: it is given up, and all others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.crash.launcher import launcher
from tests.end_to_end.conftest import FORM, Make, World
from tests.end_to_end.several import Several, several_gateways
from tests.support.deadly import DeadlyCalls, deaths, install, kept_running
from tests.support.gateway_process import GatewayProcess
from tests.support.postgresql import Server

SINK = """
[destinations.{name}]
plugin = "{plugin}"
log = "{folder}/taken.log"
retry = {{ {retry} }}
{more}
"""
QUICK = 'first = "100ms", max = "200ms"'
TEXT = 'to = "{name}"\ntext = "{{{{ record.fields.what }}}}"\n'
ROW = (
    'to = "table"\ntable = "plain"\ndelivery_key = "delivery_key"\n'
    'columns = { record = "{{ record.fields.what or record.key }}" }'
)
DELAYED = 'mode = "delayed"'
STANDING = (
    "SELECT state, deliveries.reason, attempts, deaths FROM deliveries JOIN notifications "
    "ON notifications.id = notification_id WHERE record_key = 'deadly' ORDER BY deliveries.id"
)
PENDING = "SELECT count(*) FROM deliveries WHERE state = 'pending'"
ENDED = "SELECT state, count(*) FROM deliveries GROUP BY state ORDER BY state"


def destination(folder: Path, *, plugin: str = "deadly", retry: str, more: str = "") -> str:
    return SINK.format(name="sink", plugin=plugin, folder=folder, retry=retry, more=more)


def taken(folder: Path) -> list[str]:
    """Return what the destination took, each as often as it did."""
    log = folder / "taken.log"
    return [line.rpartition(" ")[0] for line in log.read_text().splitlines()] if log.exists() else []


@asynccontextmanager
async def running(world: World, routes: str, *, gateway: str = "") -> AsyncIterator[GatewayProcess]:
    """Run one gateway that a service manager starts again."""
    world.write(routes, gateway=gateway, environ=install(world.folder))
    assert world.gateway is not None
    world.gateway.launch = launcher()
    await asyncio.to_thread(world.gateway.start)
    world.doforms.target = world.gateway.url
    async with kept_running(world.gateway):
        yield world.gateway
        await asyncio.sleep(0.2)
    assert await asyncio.to_thread(world.gateway.stop) == 0


@pytest.fixture
async def several(tmp_path: Path, postgresql: Server) -> AsyncIterator[Several]:
    async with several_gateways(tmp_path, postgresql, repeat_after=[0.3] * 200) as made:
        yield made


@asynccontextmanager
async def sharing(several: Several, routes: str, *, count: int = 2) -> AsyncIterator[None]:
    """Run several gateways on one store, each of which a service manager starts again."""
    several.write(routes, count=count)
    environ = install(several.folder)
    for gateway in several.gateways:
        gateway.launch = launcher()
        gateway.environ |= environ
        text = gateway.routes.read_text().replace('lease = "3.0s"', 'lease = "1s"')
        gateway.routes.write_text(text)
    await several.start()
    async with kept_running(*several.gateways):
        yield
        await asyncio.sleep(0.2)
    await several.stop()


async def send_while(of: World | Several, over: Callable[[], Any], *, pause: float = 0.2) -> int:
    """Have doForms tell of the deadly record, and then of others until it is over; returns of how many."""
    await of.doforms.create(FORM, {"what": "deadly while sending"}, key="deadly")
    return await send_others(of, over, pause=pause)


async def send_others(of: World | Several, over: Callable[[], Any], *, pause: float = 0.2, timeout: float = 120) -> int:
    """Have doForms tell of one record after the other until it is over."""
    made: list[asyncio.Task[Any]] = []
    end = asyncio.get_running_loop().time() + timeout
    while not over():
        assert asyncio.get_running_loop().time() < end, of.stored(STANDING)
        made.append(asyncio.create_task(of.doforms.create(FORM, {"what": f"other {len(made)}"}, key=f"o{len(made)}")))
        await asyncio.sleep(pause)
    sent = await asyncio.gather(*made)
    await of.doforms.until(lambda: all(seen.belief != "new" for seen in sent), timeout=60)
    return len(sent)


async def kill_often(gateway: GatewayProcess) -> None:
    """Kill a healthy gateway every second, five times."""
    for _ in range(5):
        await asyncio.sleep(1.0)
        assert gateway.process is not None
        gateway.process.kill()


async def all_ended(of: World | Several) -> None:
    await of.doforms.until(lambda: of.stored(PENDING) == [(0,)], timeout=60)


@pytest.mark.parametrize(("plugin", "limit"), [("deadly", 30), ("deadly-batch", 3)])
async def test_death_while_sending_counts_and_others_go_on(world: World, route: Make, plugin: str, limit: int) -> None:
    sink = destination(world.folder, plugin=plugin, retry=f"{QUICK}, attempts = {limit}")
    async with running(world, sink + route(TEXT.format(name="sink"), head=DELAYED)):
        others = await send_while(world, lambda: world.stored(STANDING)[:1] and world.stored(STANDING)[0][0] == "dead")
        await all_ended(world)
    assert len(deaths(world.folder)) == limit
    [(_, reason, attempts, counted)] = world.stored(STANDING)
    assert reason.startswith(f"given up after {limit} attempts: the gateway's process died {limit} times in a row")
    assert (attempts, counted) == (limit, limit)
    raised = "SELECT subject FROM alarms WHERE kind = 'process died'"
    assert world.stored(raised) == ([("sink",)] if limit > 3 else [])
    assert world.stored(ENDED) == [("dead", 1), ("delivered", others)]
    assert {*taken(world.folder)} == {f"other {number}" for number in range(others)}


async def test_death_while_sending_waits_by_retry(world: World, route: Make) -> None:
    sink = destination(world.folder, retry='first = "3s", factor = 1, attempts = 3')
    async with running(world, sink + route(TEXT.format(name="sink"), head=DELAYED)):
        started = asyncio.get_running_loop().time()
        await send_while(world, lambda: world.stored(STANDING)[:1] and world.stored(STANDING)[0][0] == "dead")
        assert asyncio.get_running_loop().time() - started >= 2 * 0.8 * 3
        await all_ended(world)
    assert len(deaths(world.folder)) == 3


@pytest.mark.parametrize("limit", [1, 30])
async def test_death_while_rendering_counts_and_others_go_on(world: World, route: Make, limit: int) -> None:
    sink = destination(world.folder, retry=f"{QUICK}, attempts = {limit}")
    async with running(world, sink + route(TEXT.format(name="sink"), head=DELAYED)):
        await world.doforms.create(FORM, {"what": "deadly while rendering"}, key="deadly")
        others = await send_others(world, lambda: world.stored(STANDING)[0][0] == "dead")
        await all_ended(world)
    died = max(limit, 3)  # one that was not alone is never given up
    assert len(deaths(world.folder)) == died
    assert f"the gateway's process died {died} times in a row" in world.stored(STANDING)[0][1]
    assert world.stored(ENDED) == [("dead", 1), ("delivered", others)]


async def test_death_in_immediate_mode_counts_like_any(world: World, route: Make) -> None:
    sink = destination(world.folder, retry=f"{QUICK}, attempts = 3")
    async with running(world, sink + route(TEXT.format(name="sink"), head='mode = "immediate"')):
        others = await send_while(world, lambda: world.stored(STANDING)[:1] and world.stored(STANDING)[0][0] == "dead")
        await all_ended(world)
        seen = next(one for one in world.doforms.notifications.values() if b"deadly" in one.body)
        await world.doforms.until(lambda: seen.belief == "failed", timeout=30)
    assert len(deaths(world.folder)) == 3
    assert world.stored(ENDED) == [("dead", 1), ("delivered", others)]


async def test_death_where_no_repeat_is_safe_is_in_doubt_at_once(world: World, route: Make) -> None:
    sink = destination(world.folder, retry=QUICK, more='repeatable = "no"')
    async with running(world, sink + route(TEXT.format(name="sink"), head=DELAYED)):
        await send_while(world, lambda: world.stored(STANDING)[:1] and world.stored(STANDING)[0][0] == "dead")
        await world.doforms.until(lambda: world.stored(PENDING) == [(0,)], timeout=60)
    assert len(deaths(world.folder)) == 1
    assert world.stored(STANDING)[0][1] == "in doubt: an earlier attempt was cut short by a crash"


async def test_death_at_the_fetch_counts_by_fetch_retry_for_all_deliveries(world: World, route: Make) -> None:
    world.doforms.put_record(FORM, "deadly", {"what": "deadly"})
    calls = DeadlyCalls(lambda: [world.gateway], "record", "deadly")
    world.doforms.faults.take = calls.take  # type: ignore[method-assign]
    sink = destination(world.folder, retry=QUICK)
    routes = sink + "\n[accounts.acme]\nfetch_retry = { first = '100ms', max = '200ms', attempts = 30 }\n"
    async with running(world, routes + route(TEXT.format(name="sink"), ROW, head=DELAYED)):
        await world.doforms.create(FORM, {"what": "deadly"}, key="deadly")
        others = await send_others(world, lambda: {row[0] for row in world.stored(STANDING)} == {"dead"})
        await all_ended(world)
    assert calls.deaths <= 31  # the two that come before any is alone may be of one delivery or of both
    reason = "the record could not be fetched: given up after"
    assert {row[1].partition(" 3")[0] for row in world.stored(STANDING)} == {reason}
    assert world.stored(ENDED) == [("dead", 2), ("delivered", 2 * others)]


async def test_death_at_an_attachment_counts_and_others_go_on(world: World, route: Make) -> None:
    calls = DeadlyCalls(lambda: [world.gateway], "blob", "deadly-photo")
    world.doforms.faults.take = calls.take  # type: ignore[method-assign]
    sink = destination(world.folder, retry=f"{QUICK}, attempts = 3")
    photo = world.doforms.put_blob(FORM, "deadly-photo", b"\xff\xd8\xff photo")
    async with running(world, sink + route(TEXT.format(name="sink") + "attachments = true", head=DELAYED)):
        await world.doforms.create(FORM, {"what": "photo", "photo": photo}, key="deadly")
        others = await send_others(world, lambda: world.stored(STANDING)[0][0] == "dead")
        await all_ended(world)
    assert calls.deaths == 3
    assert world.stored(ENDED) == [("dead", 1), ("delivered", others)]


async def test_death_at_a_report_counts_by_report_retry(world: World, route: Make) -> None:
    seen = world.doforms.compose(FORM, "create", submission_key="deadly", key="deadly-one")
    calls = DeadlyCalls(lambda: [world.gateway], "report", "deadly-one")
    world.doforms.faults.take = calls.take  # type: ignore[method-assign]
    world.doforms.put_record(FORM, "deadly", {"what": "fine"})
    sink = destination(world.folder, retry=QUICK)
    routes = sink + "\n[accounts.acme]\nreport_retry = { first = '100ms', max = '200ms', attempts = 3 }\n"
    state = "SELECT report_state FROM notifications WHERE notification_key = 'deadly-one'"
    async with running(world, routes + route(TEXT.format(name="sink"), head=DELAYED)):
        await world.doforms.send(seen)
        others = await send_others(world, lambda: world.stored(state) == [("given up",)])
        await all_ended(world)
        told = "SELECT count(*) FROM notifications WHERE report_state IN ('reported', 'answered')"
        await world.doforms.until(lambda: world.stored(told) == [(others,)], timeout=60)
    assert calls.deaths == 3
    assert world.stored(ENDED) == [("delivered", others + 1)]


async def test_death_amid_a_round_of_reconciliation_waits_for_the_next(world: World, route: Make) -> None:
    calls = DeadlyCalls(lambda: [world.gateway], "list", "")
    world.doforms.faults.take = calls.take  # type: ignore[method-assign]
    sink = destination(world.folder, retry=QUICK)
    reconcile = '\n[reconcile]\nevery = "1h"\nlookback = "48h"\ngrace = "1h"\n'
    async with running(world, reconcile + sink + route(TEXT.format(name="sink"), head=DELAYED)):
        await world.doforms.until(lambda: calls.deaths == 2, timeout=60)
        loop = asyncio.get_running_loop()
        end = loop.time() + 6
        others = await send_others(world, lambda: loop.time() > end)
        await all_ended(world)
        assert calls.deaths == 2
    assert world.stored(ENDED) == [("delivered", others)]


async def test_plain_kills_give_nothing_up_with_one_attempt(world: World, route: Make) -> None:
    retry = f"{QUICK}, attempts = 1"
    slowly = f'\n[destinations.slowly]\nplugin = "rest"\nurl = "{world.rest.url}"\nretry = {{ {retry} }}\n'
    post = 'to = "slowly"\npath = "records"\njson = { key = "{{ notification.key }}" }'
    async with running(world, slowly + route(post, ROW, head=DELAYED)) as gateway:
        killing = asyncio.create_task(kill_often(gateway))
        others = await send_others(world, killing.done, pause=0.05)
        await all_ended(world)
    ended = "SELECT state, reason, count(*) FROM deliveries WHERE destination = 'slowly' GROUP BY state, reason"
    assert world.stored(ended) == [("delivered", None, others)]


@pytest.mark.parametrize(("what", "limit"), [("sending", 30), ("rendering", 3)])
async def test_death_of_one_gateway_is_seen_by_the_others_on_one_store(
    several: Several, route: Make, what: str, limit: int
) -> None:
    sink = destination(several.folder, retry=f"{QUICK}, attempts = {limit}")
    async with sharing(several, sink + route(TEXT.format(name="sink"), head=DELAYED)):
        await several.doforms.create(FORM, {"what": f"deadly while {what}"}, key="deadly")
        others = await send_others(several, lambda: several.stored(STANDING)[0][0] == "dead")
        await all_ended(several)
    assert len(deaths(several.folder)) == limit
    assert f"the gateway's process died {limit} times in a row" in several.stored(STANDING)[0][1]
    assert several.stored(ENDED) == [("dead", 1), ("delivered", others)]


async def test_death_at_the_fetch_on_a_shared_store_is_given_up_by_fetch_retry(several: Several, route: Make) -> None:
    calls = DeadlyCalls(lambda: several.gateways, "record", "deadly")
    several.doforms.faults.take = calls.take  # type: ignore[method-assign]
    sink = destination(several.folder, retry=QUICK)
    routes = sink + "\n[accounts.acme]\nfetch_retry = { first = '100ms', max = '200ms', attempts = 3 }\n"
    async with sharing(several, routes + route(TEXT.format(name="sink"), ROW, head=DELAYED)):
        await several.doforms.create(FORM, {"what": "deadly"}, key="deadly")
        others = await send_others(several, lambda: {row[0] for row in several.stored(STANDING)} == {"dead"})
        await all_ended(several)
    assert 3 <= calls.deaths <= 5, "two of each delivery at most, and one more that was alone"
    assert all("could not be fetched: given up after" in row[1] for row in several.stored(STANDING))
    assert several.stored(ENDED) == [("dead", 2), ("delivered", 2 * others)]
