"""Orders of a person to a running gateway."""

from __future__ import annotations

import subprocess
import sys

from tests.end_to_end.conftest import FORM, OTHER, Make, World

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
