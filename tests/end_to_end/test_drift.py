"""A form that changes while the gateway runs: what has no column is left out under an alarm."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.store import alarms
from gateway.store.connect import open_database
from tests.end_to_end.conftest import FORM, Make, World

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
