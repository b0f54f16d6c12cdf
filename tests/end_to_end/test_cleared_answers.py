"""An answer that somebody takes out of a form goes from its row too, where every question has a column."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from tests.end_to_end.conftest import FORM, Make, World

EVERYTHING = """to = "table"
table = "visits"
write = "mirror"
key = ["record"]
columns = { "*" = true, record = "{{ record.key }}" }"""


@pytest.fixture(autouse=True)
def visits(world: World) -> None:
    database = sqlite3.connect(world.folder / "effects.db")
    database.execute(
        "CREATE TABLE visits (record TEXT PRIMARY KEY, site TEXT, comment TEXT, findings TEXT, reviewed_by TEXT, "
        "seen_at TEXT DEFAULT CURRENT_TIMESTAMP)"
    )
    database.commit()
    database.close()


@pytest.mark.parametrize("killed", [False, True])
async def test_cleared_answer_does_not_stay(world: World, route: Make, killed: bool) -> None:
    async def came(call: Any) -> None:
        seen = await call
        await world.doforms.until(lambda: seen.belief == "completed", timeout=10)

    with world.running(route(EVERYTHING)) as gateway:
        full = {"site": "Dock", "comment": "wet", "findings": [{"what": "rust"}]}
        await came(world.doforms.create(FORM, full, key="r1"))
        await came(world.doforms.create(FORM, {"site": "Pier", "comment": "dry"}, key="r2"))
        database = sqlite3.connect(world.folder / "effects.db", timeout=10)
        database.execute("UPDATE visits SET reviewed_by = 'Ann'")
        database.commit()
        database.close()
        if killed:  # at once: what was counted in memory is gone
            gateway.kill()
            gateway.start()
            world.doforms.target = gateway.url
        await came(world.doforms.update(FORM, "r1", {"site": "Dock"}))
        rows = "SELECT record, site, comment, findings, reviewed_by, seen_at IS NULL FROM visits ORDER BY record"
        assert world.rows(rows) == [("r1", "Dock", None, None, "Ann", 0), ("r2", "Pier", "dry", None, "Ann", 0)]
        await came(world.doforms.update(FORM, "r1", {"comment": "again"}))
        assert world.rows(rows)[0] == ("r1", None, "again", None, "Ann", 0)
