"""A form that changes while the gateway runs: what has no column is left out under an alarm."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from gateway.store.engine.connect import open_database
from gateway.store.work import alarms
from tests.end_to_end.conftest import FORM, Make, World
from tests.end_to_end.several import several_gateways
from tests.support.postgresql import Server

EVERYTHING = """to = "table"
table = "state"
write = "upsert"
key = ["record"]
columns = { "*" = true, record = "{{ record.key }}" }"""


def raised(world: World) -> list[tuple[str, str]]:
    database = open_database(f"sqlite:///{world.gateway.store}")
    with database.read() as connection:
        found = [(one.kind, one.text) for one in alarms.list_alarms(connection)]
    database.close()
    return found


async def until_raised(world: World) -> list[tuple[str, str]]:
    for _ in range(200):
        if found := raised(world):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("no alarm within 10 s")


async def test_a_question_without_a_column_fails_nothing_and_is_told(world: World, route: Make) -> None:
    async def came(key: str, **fields: Any) -> None:
        seen = await world.doforms.create(FORM, fields, key=key)
        await world.doforms.until(lambda: seen.belief == "completed", timeout=10)

    with world.running(route(EVERYTHING)):
        await came("r1", score=1, remarks="none")
        [(kind, text)] = await until_raised(world)
        assert kind == "question left out"
        assert text.startswith(
            "the question 'remarks' of the form \"Inspection\" is left out by route one, delivery table: there is no "
            "such column in state"
        )
        await came("r2", score=2)
        assert world.rows("SELECT record, score FROM state ORDER BY record") == [("r1", 1), ("r2", 2)]


async def test_templates_of_a_status_event_see_the_dispatch_and_the_submission(world: World, route: Make) -> None:
    deliver = """to = "folder"
filename = "{{ record.key }}.json"
[routes.deliver.columns]
crew = "{{ record.fields.crew }}"
stops = "{{ dispatch.tables.stops | length }}"
site = "{{ submission.fields.site }}" """
    with world.running(route(deliver, head='events = ["status"]')):
        world.doforms.put_record(
            FORM, "d1", {"crew": "Ada", "stops": [{"at": "Dock"}, {"at": "Pier"}]}, kind="dispatch"
        )
        world.doforms.put_record(FORM, "s1", {"site": "Dock"})
        seen = await world.doforms.notify(FORM, "status", submission_key="s1", dispatch_key="d1")
        await world.doforms.until(lambda: seen.belief == "completed", timeout=10)
    written = (world.folder / "files" / "d1.json").read_text()
    assert written == '{\n  "crew": "Ada",\n  "stops": 2,\n  "site": "Dock"\n}\n'


async def test_of_two_gateways_one_tells_of_a_new_question(tmp_path: Path, postgresql: Server, route: Make) -> None:
    deliver = (
        'to = "table"\ntable = "plain"\ncolumns = { record = "{{ record.key }}", event = "{{ record.fields.site }}" }'
    )
    async with several_gateways(tmp_path, postgresql) as several:
        several.write(route(deliver))
        await several.start()

        async def came(*keys: str, **fields: Any) -> None:
            seen = [await several.doforms.create(FORM, {"site": "Dock", **fields}, key=key) for key in keys]
            await several.doforms.until(lambda: all(one.belief == "completed" for one in seen), timeout=20)

        def counted(records: int) -> bool:
            return several.stored("SELECT sum(seen) FROM questions WHERE path = ''") == [(records,)]

        await came(*(f"r{number}" for number in range(20)), hall=1)
        await several.doforms.until(lambda: several.stored("SELECT seen FROM questions WHERE path = ''"), timeout=10)
        await came("s1", "s2", "s3", "s4", hazard="Gas")
        await several.doforms.until(lambda: several.logged("alarm raised"), timeout=10)
        await came("t1", "t2", hazard="Gas", second="x")
        await asyncio.sleep(3.0)  # each process writes a second after it met a question
        [(kind, cleared)] = several.stored("SELECT kind, cleared_at FROM alarms")
        assert (kind, cleared) == ("new questions", None)
        assert len(several.logged("alarm raised")) == 1
        await several.stop()
        assert counted(26)
