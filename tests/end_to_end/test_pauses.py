"""Orders of a person to a running gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.end_to_end.conftest import FORM, OTHER, Make, World
from tests.support.service import Service

ROW = 'to = "table"\ntable = "plain"\ndelivery_key = "delivery_key"\ncolumns = { record = "{{ notification.key }}" }'


def order(world: World, *words: str) -> None:
    command = [sys.executable, "-m", "gateway", *words, "--routes", str(world.folder / "routes.toml")]
    subprocess.run(command, check=True, capture_output=True)


async def test_a_paused_destination_gets_nothing_until_it_is_resumed(world: World, route: Make) -> None:
    with world.running(route(ROW)):
        order(world, "destinations", "pause", "table")
        await world.doforms.until(lambda: world.gateway.health()["destinations"]["table"] != "ready")
        seen = await world.doforms.create(FORM, {"site": "Dock"})
        assert seen.answers[0].body == b""
        assert world.rows("SELECT * FROM plain") == []
        order(world, "destinations", "resume", "table")
        await world.doforms.until(lambda: seen.belief == "completed", timeout=10)
        assert len(world.rows("SELECT * FROM plain")) == 1


FETCHED = ROW.replace("notification.key", "record.fields.site")
DUE = (
    "SELECT d.reason_code, d.due_at FROM deliveries d JOIN notifications n ON n.id = d.notification_id"
    " WHERE d.state = 'pending' AND n.record_key = '{}'"
)


async def test_resuming_one_web_service_lets_go_what_waits_for_it_and_nothing_else(world: World, route: Make) -> None:
    with world.running(route(FETCHED, form="*")):
        for form, key in ((FORM, "dock"), (OTHER, "mill")):
            world.doforms.faults.add(path_contains=key, status=401)
            await world.doforms.create(form, {"site": key}, key=key)
        await world.doforms.until(lambda: world.stored("SELECT count(*) FROM pauses") == [(2,)])
        [waits] = world.stored(DUE.format("mill"))
        order(world, "webservices", "resume", "inspection")
        await world.doforms.until(lambda: world.rows("SELECT record FROM plain") == [("dock",)], timeout=10)
        assert world.stored(DUE.format("mill")) == [waits]
        assert waits[0] == "web service waits"
        order(world, "webservices", "resume", "other")
        await world.doforms.until(lambda: ("mill",) in world.rows("SELECT record FROM plain"), timeout=10)


def listed(world: World, name: str = "mended") -> dict[str, Any]:
    words = ["destinations", "list", "--json", "--routes", str(world.folder / "routes.toml")]
    ran = subprocess.run([sys.executable, "-m", "gateway", *words], check=True, capture_output=True)
    return next(one for one in json.loads(ran.stdout) if one["name"] == name)


async def test_destination_that_is_down_is_never_called_ready_and_says_since_when_and_when_it_is_tried(
    world: World, route: Make, service: Service
) -> None:
    down = route('to = "mended"\npath = "records"\njson = { key = "{{ notification.key }}" }')
    breaker = 'breaker = { failures = 3, probe_after = "1s" }'
    with world.running(down + service.destination(breaker)):
        began = datetime.now(UTC) - timedelta(seconds=1)
        seen = [await world.doforms.create(FORM, {"site": "Dock"}, key=f"r{number}") for number in range(6)]
        await world.doforms.until(lambda: listed(world)["state"] == "down", timeout=20)
        told = listed(world)
        assert "503" in told["reason"]
        since, following = (datetime.fromisoformat(told[name]) for name in ("since", "next_try"))
        assert began <= since <= datetime.now(UTC)
        assert since < following
        assert world.gateway.health()["destinations"]["mended"] == "not ready"
        late = await world.doforms.create(FORM, {"site": "Dock"}, key="late")
        [(mode, why)] = world.stored(
            f"SELECT mode, mode_reason FROM notifications WHERE notification_key = '{late.key}'"
        )
        assert (mode, "the destination mended is down since" in why, "next try" in why) == ("delayed", True, True)
        service.status = 200
        await world.doforms.until(lambda: all(one.belief == "completed" for one in (*seen, late)), timeout=30)
        await world.doforms.until(lambda: listed(world)["state"] == "ready")
        assert world.gateway.health()["destinations"]["mended"] == "ready"


async def test_what_a_process_noted_of_a_destination_that_was_down_ends_with_the_next_start(
    world: World, route: Make, service: Service
) -> None:
    down = route('to = "mended"\npath = "records"\njson = { key = "{{ notification.key }}" }')
    routes = down + service.destination('breaker = { failures = 1, probe_after = "60s" }')
    with world.running(routes):
        await world.doforms.create(FORM, {"site": "Dock"}, key="r1")
        await world.doforms.until(lambda: listed(world)["state"] == "down", timeout=20)
    service.status = 200
    with world.running(routes):
        await world.doforms.until(lambda: listed(world)["state"] == "ready" and bool(service.taken), timeout=20)
