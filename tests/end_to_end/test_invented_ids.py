"""A real gateway whose sender has the right secret and invents whatever it can: each kind of alarm stays one."""

from __future__ import annotations

import asyncio
import json

from tests.end_to_end.conftest import KEY, Make, World
from tests.end_to_end.test_pauses import ROW, order

ALARMS = "SELECT subject, times, text, cleared_at IS NOT NULL FROM alarms WHERE kind = 'unmatched'"


async def test_invented_web_services_share_one_alarm_with_a_count(world: World, route: Make) -> None:
    with world.running(route(ROW)) as gateway:

        async def send(numbers: range) -> None:
            for number in numbers:
                body = {"key": f"n{number}", "webserviceId": f"invented-{number}\u202e$$1", "submissionKey": "r"}
                assert (await world.doforms.post(json.dumps(body).encode(), headers=KEY)).status == 200

        await asyncio.gather(*(send(range(start, start + 25)) for start in range(0, 500, 25)))
        await world.doforms.until(lambda: sum(row[1] for row in world.stored(ALARMS)) == 500)
        [(subject, times, text, cleared)] = world.stored(ALARMS)
        assert (subject, times, cleared) == ("web services that are not in the routes file", 500, 0)
        assert "of invented-" in text
        assert len([line for line in gateway.lines() if line["event"] == "alarm raised"]) <= 1
        order(world, "notifications", "drop", "--unmatched", "--yes")
        await world.doforms.until(lambda: world.stored(ALARMS)[0][3] == 1)
