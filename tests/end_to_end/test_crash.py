"""Power cuts under load: every acknowledged notification is settled and reported, nothing is missing or doubled."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from gateway.doforms.simulator import Seen
from tests.end_to_end.conftest import FORM, OTHER, Make, World

RECORDS = 8
NOTIFICATIONS = 120

INSERT = 'to = "table"\ntable = "plain"\ndelivery_key = "delivery_key"\ncolumns = { record = "{{ record.key }}" }'
UPSERT = (
    'to = "table"\nname = "state"\ntable = "state"\nwrite = "upsert"\nkey = ["record"]\n'
    'columns = { record = "{{ record.key }}", score = "{{ record.fields.score }}" }'
)


@pytest.mark.parametrize("seed", range(10))
async def test_after_a_kill_everything_acknowledged_is_settled_reported_and_there_once(
    world: World, route: Make, seed: int
) -> None:
    chance = random.Random(seed)
    routes = route(INSERT, UPSERT) + route(INSERT, UPSERT, head='mode = "delayed"', form="Other", name="two")
    world.write(routes.replace("[[routes]]", "\n[[routes]]"))
    world.gateway.start()
    world.doforms.target = world.gateway.url
    for ident in (FORM, OTHER):
        for number in range(RECORDS):
            world.doforms.world.put(ident, f"{ident}-{number}", {"score": number})
    load = asyncio.create_task(_load(world, chance))
    await asyncio.sleep(chance.uniform(0.05, 1.2))
    world.gateway.kill()
    await asyncio.sleep(0.2)
    world.gateway.start()
    sent = await load
    acknowledged = [seen for seen in sent if any(answer.status == 200 for answer in seen.answers)]
    assert len(acknowledged) == NOTIFICATIONS
    await world.doforms.until(lambda: all(seen.belief == "completed" for seen in sent), timeout=25)
    assert world.gateway.stop() == 0
    rows = world.rows("SELECT delivery_key FROM plain")
    assert len(rows) == len(set(rows)) == NOTIFICATIONS
    states = dict(world.rows("SELECT record, score FROM state"))
    assert states == {name: int(name.rpartition("-")[2]) for name in {_record(seen) for seen in sent}}
    assert world.stored("SELECT count(*) FROM deliveries WHERE state != 'delivered'") == [(0,)]


async def _load(world: World, chance: random.Random) -> list[Seen]:
    sent = []
    for _ in range(NOTIFICATIONS):
        ident = chance.choice((FORM, OTHER))
        sent.append(world.doforms.compose(ident, "update", submission_key=f"{ident}-{chance.randrange(RECORDS)}"))
    gate = asyncio.Semaphore(12)

    async def send(seen: Seen) -> None:
        async with gate:
            await world.doforms.send(seen)
            await world.doforms.until(lambda: not seen.answers[-1].repeats, timeout=15)

    await asyncio.gather(*(send(seen) for seen in sent))
    return sent


def _record(seen: Seen) -> str:

    return str(json.loads(seen.body)["submissionKey"])
