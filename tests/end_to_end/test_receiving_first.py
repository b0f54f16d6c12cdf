"""Receiving comes first: a gateway whose worker has all that it can do still answers what arrives."""

from __future__ import annotations

import asyncio
import time

from gateway.http import build_client
from tests.end_to_end.conftest import FORM, KEY, Make, World
from tests.end_to_end.test_reload import DELAYED, order

ROW = 'to = "table"\ntable = "plain"\ndelivery_key = "delivery_key"\ncolumns = { record = "{{ notification.key }}" }'
BACKLOG, ARRIVALS, PER_SECOND = 1500, 1000, 500


async def test_with_the_worker_saturated_500_arrivals_a_second_are_each_answered_200_and_kept_once(
    world: World, route: Make
) -> None:
    with world.running(route(ROW, head=DELAYED)) as gateway:
        async with build_client(timeout=10.0, headers=KEY) as http:
            answered: list[int] = []

            async def post(number: int) -> None:
                body = world.doforms.compose(FORM, "create", submission_key=f"r{number % 200}", key=f"n{number}").body
                answered.append((await http.post(gateway.url, content=body)).status_code)

            await asyncio.to_thread(order, world, "destinations", "pause", "table")
            await world.doforms.until(lambda: gateway.health()["destinations"]["table"] != "ready")
            for first in range(0, BACKLOG, 50):
                await asyncio.gather(*(post(number) for number in range(first, first + 50)))
            await asyncio.to_thread(order, world, "destinations", "resume", "table")
            await world.doforms.until(lambda: len(world.rows("SELECT 1 FROM plain LIMIT 1")) == 1)
            started = time.monotonic()
            arriving = []
            for number in range(BACKLOG, BACKLOG + ARRIVALS):
                arriving.append(asyncio.create_task(post(number)))
                await asyncio.sleep(max(0.0, started + (number - BACKLOG) / PER_SECOND - time.monotonic()))
            await asyncio.gather(*arriving)
        total = BACKLOG + ARRIVALS
        assert (len(answered), set(answered)) == (total, {200})
        assert world.stored("SELECT count(DISTINCT notification_key), count(*) FROM notifications") == [(total, total)]
        await world.doforms.until(lambda: world.rows("SELECT count(*) FROM plain") == [(total,)], timeout=30)
        assert world.rows("SELECT count(DISTINCT record) FROM plain") == [(total,)]
