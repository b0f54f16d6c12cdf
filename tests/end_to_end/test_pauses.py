"""Orders of a person to a running gateway."""

from __future__ import annotations

import subprocess
import sys

from tests.end_to_end.conftest import FORM, Make, World

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
