"""Records that land in MariaDB, which is restarted meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.end_to_end.conftest import FORM, Make, World
from tests.support.mariadb import MariaDB

DESTINATION = """
[destinations.warehouse]
plugin = "database"
url = "{url}"
retry = {{ first = "200ms", max = "1s" }}
breaker = {{ probe_after = "300ms" }}
"""
MIRROR = """
to = "warehouse"
table = "inspections"
write = "mirror"
key = ["doforms_key"]
guard = "number"
on_delete = { set = { deleted = true } }
columns = { doforms_key = "{{ record.key }}", site = "{{ record.fields.site }}" }
"""
LOG = """
name = "log"
to = "warehouse"
table = "log"
delivery_key = "delivery"
columns = { site = "{{ record.fields.site }}" }
"""


@pytest.fixture
def mariadb() -> Iterator[MariaDB]:
    made = MariaDB()
    made.make_database("forms")
    made.run(
        "CREATE TABLE forms.inspections (doforms_key VARCHAR(190) PRIMARY KEY, site VARCHAR(40), "
        "deleted BOOLEAN, number BIGINT)",
        "CREATE TABLE forms.log (id BIGINT PRIMARY KEY AUTO_INCREMENT, site VARCHAR(40), delivery CHAR(32) UNIQUE)",
    )
    yield made
    made.end()


async def test_rows_come_once_and_in_order_though_mariadb_is_restarted(
    world: World, route: Make, mariadb: MariaDB
) -> None:
    destination = DESTINATION.format(url=mariadb.url.set(database="forms").render_as_string())
    follow = route(MIRROR, head='mode = "delayed"\nevents = ["create", "update", "delete"]')
    once = route(LOG, name="logged", head='mode = "delayed"\nevents = ["create"]')
    with world.running(destination + follow + once):
        keys = [f"record-{number}" for number in range(20)]
        seen = [await world.doforms.create(FORM, {"site": "Dock 😀"}, key=key) for key in keys]
        await world.doforms.until(lambda: all(one.belief == "completed" for one in seen), timeout=20)
        await asyncio.to_thread(mariadb.stop)
        later = [await world.doforms.update(FORM, key, {"site": site}) for key in keys[:5] for site in "ab"]
        later += [await world.doforms.delete(FORM, key) for key in keys[5:7]]
        later += [await world.doforms.create(FORM, {"site": "new"}) for _ in range(5)]
        await asyncio.sleep(1.0)
        assert {one.belief for one in later} == {"received"}
        await asyncio.to_thread(mariadb.start)
        await world.doforms.until(lambda: all(one.belief == "completed" for one in later), timeout=30)
    rows = dict(mariadb.run("SELECT doforms_key, concat(site, coalesce(deleted, 0)) FROM forms.inspections"))
    assert len(rows) == 25
    assert [rows[key] for key in keys[3:8]] == ["b0", "b0", "Dock 😀1", "Dock 😀1", "Dock 😀0"]
    assert mariadb.run("SELECT count(*), count(DISTINCT delivery) FROM forms.log") == [(25, 25)]
