"""A gateway with a real PgBouncer in front of its databases."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url

from tests.end_to_end.conftest import FORM, Make, World
from tests.support.pgbouncer import PgBouncer
from tests.support.postgresql import Server

DESTINATION = """
[destinations.warehouse]
plugin = "database"
url = "{url}"
retry = {{ first = "200ms", max = "1s" }}
concurrency = 8
batch = 5
"""
MIRROR = """
to = "warehouse"
table = "inspections"
write = "mirror"
key = ["doforms_key"]
columns = { doforms_key = "{{ record.key }}", site = "{{ record.fields.site }}" }
[[routes.deliver.children]]
table = "findings"
rows = "record.tables.findings"
parent = { inspection_key = "{{ record.key }}" }
columns = { finding = "{{ row.finding }}" }
"""


@pytest.fixture
def url(postgresql: Server) -> str:
    return postgresql.make_database(migrated=False)


@pytest.fixture
def pooler(url: str) -> Iterator[PgBouncer]:
    made = PgBouncer(make_url(url), "transaction", default_pool_size=3)
    yield made
    made.end()


async def test_sixty_records_with_children_arrive_through_a_pooler(
    world: World, route: Make, pooler: PgBouncer, url: str
) -> None:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as session:
        session.execute("CREATE TABLE inspections (doforms_key TEXT PRIMARY KEY, site TEXT)")
        session.execute("CREATE TABLE findings (inspection_key TEXT REFERENCES inspections, finding TEXT)")
        destination = DESTINATION.format(url=pooler.url().render_as_string())
        with world.running(destination + route(MIRROR, head='mode = "delayed"')):
            fields = {"site": "Dock", "findings": [{"finding": "rust"}, {"finding": "crack"}]}
            seen = [await world.doforms.create(FORM, fields, key=f"r{number}") for number in range(60)]
            await world.doforms.until(lambda: all(one.belief == "completed" for one in seen), timeout=60)
        assert session.execute("SELECT count(*) FROM inspections").fetchall() == [(60,)]
        assert session.execute("SELECT count(*) FROM findings").fetchall() == [(120,)]
    assert world.stored("SELECT result, reason FROM attempts") == []


@pytest.mark.parametrize("command", [["serve", "--insecure", "--port", "0"], ["check", "--connect"]])
def test_store_behind_a_pooler_is_refused_by_serve_and_check(
    command: list[str], world: World, pooler: PgBouncer
) -> None:
    world.rewrite("", gateway=f'store = "{pooler.url().render_as_string()}"')
    environ = {**os.environ, "WEBHOOK_KEY": "correct", "DOFORMS_PASSWORD": "secret"}
    routes = str(world.folder / "routes.toml")
    (world.folder / "files").mkdir(exist_ok=True)
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", *command, "--routes", routes],
        capture_output=True, text=True, timeout=60, env=environ, check=False,
    )  # fmt: skip
    said = " ".join((ended.stdout + ended.stderr).split())
    assert ended.returncode == 1, said
    assert "behind a pooler that lends sessions out" in said
    assert "set pool_mode = session for this database" in said
    assert "Traceback" not in said
