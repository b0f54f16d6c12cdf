"""A real gateway whose sender has the right secret and invents whatever it can: each kind of alarm stays one."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.end_to_end.conftest import KEY, Make, World
from tests.end_to_end.test_pauses import ROW, order

ALARMS = "SELECT subject, times, text, cleared_at IS NOT NULL FROM alarms WHERE kind = 'unmatched'"


async def test_invented_web_services_share_one_alarm_with_a_count(world: World, route: Make) -> None:
    with world.running(route(ROW)) as gateway:

        async def send(http: httpx.AsyncClient, numbers: range) -> None:
            for number in numbers:
                body = {"key": f"n{number}", "webserviceId": f"invented-{number}\u202e$$1", "submissionKey": "r"}
                assert (await http.post(gateway.url, json=body, headers=KEY)).status_code == 200

        async with httpx.AsyncClient(timeout=60) as http:
            await asyncio.gather(*(send(http, range(start, start + 50)) for start in range(0, 500, 50)))
        await world.doforms.until(lambda: sum(row[1] for row in world.stored(ALARMS)) == 500, timeout=60)
        [(subject, times, text, cleared)] = world.stored(ALARMS)
        assert (subject, times, cleared) == ("web services that are not in the routes file", 500, 0)
        assert "of invented-" in text
        assert len([line for line in gateway.lines() if line["event"] == "alarm raised"]) <= 1

        def lines() -> list[dict[str, Any]]:
            return [line for line in gateway.lines() if line["event"].startswith("unmatched")]

        await world.doforms.until(lambda: sum(line.get("times", 1) for line in lines()) == 500, timeout=10)
        assert len(lines()) < 100
        order(world, "notifications", "drop", "--unmatched", "--yes")
        await world.doforms.until(lambda: world.stored(ALARMS)[0][3] == 1)
