"""A real gateway without room for more: new notifications must wait, repeats are answered, an alarm tells."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.doforms.simulator import Answer
from tests.end_to_end.conftest import FORM, Make, World
from tests.end_to_end.test_pauses import ROW, order

DELAYED = 'mode = "delayed"'
FULL_DISK = 'min_free_disk = "1000000TB"'
ALARMS = "SELECT kind, times, cleared_at IS NOT NULL FROM alarms WHERE kind != 'destination paused' ORDER BY id"


async def post(world: World, key: str) -> Answer:
    body = world.doforms.compose(FORM, "create", submission_key=f"record of {key}", key=key).body
    return await world.doforms.post(body)


async def alarms_are(world: World, *expected: tuple[str, int, int]) -> None:
    await world.doforms.until(lambda: world.stored(ALARMS) == list(expected), timeout=10)


def is_told_to_come_again(answer: Answer, why: str) -> bool:
    return answer.status == 503 and int(answer.headers["retry-after"]) > 0 and why in answer.body.decode()


async def test_a_full_backlog_takes_repeats_only_under_an_alarm_until_it_has_room(world: World, route: Make) -> None:
    with world.running(route(ROW, head=DELAYED), gateway="backlog_limit = 3"):
        order(world, "destinations", "pause", "table")
        await world.doforms.until(lambda: world.gateway.health()["destinations"]["table"] != "ready")
        for key in ("n1", "n2", "n3"):
            assert (await post(world, key)).status == 200
        for key in ("n4", "n5"):
            assert is_told_to_come_again(await post(world, key), "3 deliveries wait already (backlog_limit)")
        repeat = await post(world, "n1")
        assert (repeat.status, repeat.body) == (200, b"")
        await alarms_are(world, ("backlog full", 1, 0))
        assert world.stored("SELECT notification_key, repeats FROM notifications ORDER BY id") == [
            ("n1", 1),
            ("n2", 0),
            ("n3", 0),
        ]
        order(world, "destinations", "resume", "table")
        await alarms_are(world, ("backlog full", 1, 1))
        assert (await post(world, "n4")).status == 200
        await world.doforms.until(lambda: len(world.rows("SELECT * FROM plain")) == 4)


async def test_a_disk_that_is_nearly_full_takes_repeats_only_under_an_alarm_until_it_has_room(
    world: World, route: Make
) -> None:
    with world.running(route(ROW)) as gateway:
        assert (await post(world, "n1")).body == b'{"status": "completed"}'
        world.rewrite(route(ROW), gateway=FULL_DISK)
        await asyncio.to_thread(gateway.reload)
        assert is_told_to_come_again(await post(world, "n2"), "(min_free_disk)")
        status, told = gateway.readiness()
        assert (status, told["receiving"]) == (200, "not ready")
        await world.doforms.until(
            lambda: any("(min_free_disk)" in line["reason"] for line in logged(gateway, "not ready"))
        )
        assert (await post(world, "n1")).body == b'{"status": "completed"}'
        await alarms_are(world, ("disk nearly full", 1, 0))
        await asyncio.sleep(2.5)  # a second look
        await alarms_are(world, ("disk nearly full", 1, 0))
        world.rewrite(route(ROW))
        await asyncio.to_thread(gateway.reload)
        assert (await post(world, "n2")).body == b'{"status": "completed"}'
        assert "receiving" not in gateway.health()
        await alarms_are(world, ("disk nearly full", 1, 1))
        await world.doforms.until(lambda: logged(gateway, "alarm cleared"))
        for event in ("alarm raised", "alarm cleared"):
            assert [line["kind"] for line in logged(gateway, event)] == ["disk nearly full"]


def logged(gateway: Any, event: str) -> list[dict[str, Any]]:
    return [line for line in gateway.lines() if line["event"] == event]


async def test_a_disk_that_was_nearly_full_at_the_last_end_and_is_not_at_the_next_start_ends_its_alarm(
    world: World, route: Make
) -> None:
    with world.running(route(ROW), gateway=FULL_DISK):
        assert is_told_to_come_again(await post(world, "n1"), "min_free_disk")
        await alarms_are(world, ("disk nearly full", 1, 0))
    with world.running(route(ROW)):
        await alarms_are(world, ("disk nearly full", 1, 1))


async def test_on_a_disk_that_is_nearly_full_what_is_no_notification_must_come_again_and_is_not_kept_aside(
    world: World, route: Make
) -> None:
    with world.running(route(ROW), gateway=FULL_DISK):
        assert is_told_to_come_again(await world.doforms.post(b"not json"), "min_free_disk")
        assert world.stored("SELECT count(*) FROM quarantine") == [(0,)]


async def test_work_that_was_kept_before_goes_on_while_nothing_more_is_taken(world: World, route: Make) -> None:
    with world.running(route(ROW, head=DELAYED)) as gateway:
        order(world, "destinations", "pause", "table")
        await world.doforms.until(lambda: gateway.health()["destinations"]["table"] != "ready")
        assert (await post(world, "n1")).status == 200
        world.rewrite(route(ROW, head=DELAYED), gateway=FULL_DISK)
        await asyncio.to_thread(gateway.reload)
        assert (await post(world, "n2")).status == 503
        order(world, "destinations", "resume", "table")
        await world.doforms.until(lambda: world.rows("SELECT record FROM plain") == [("n1",)])
