from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, make_url, text
from sqlalchemy.exc import DBAPIError

from gateway.errors import StoreError, StoreInUse, StoreTooNew
from gateway.store.engine import rates
from gateway.store.engine.connect import open_database
from gateway.store.engine.database import Database
from gateway.store.engine.migrate import migrate
from gateway.store.engine.schema_version import FOLDER, known, newest, revision_of
from gateway.store.store import Store
from gateway.store.tables import metadata
from tests.support.keeping import keep
from tests.support.postgresql import Server

Open = Callable[[], Database]

INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
    "AND tablename != 'alembic_version' ORDER BY indexname",
}


def test_the_migrations_make_the_schema_that_the_program_works_with(empty: Open) -> None:
    store = empty()
    assert migrate(store) == (None, newest())
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert revision_of(connection) == context.get_current_revision()


def test_the_files_of_the_migrations_bear_the_revisions_that_alembic_knows() -> None:
    scripts = ScriptDirectory(str(FOLDER))
    assert known() == {script.revision for script in scripts.walk_revisions()}
    assert newest() == scripts.get_current_head()


def test_the_indexes_of_the_migrations_have_the_conditions_of_the_tables(empty: Open) -> None:
    store = empty()
    migrate(store)
    with store.write() as connection:
        migrated = _indexes(connection)
        metadata.drop_all(connection)
        metadata.create_all(connection)
        assert _indexes(connection) == migrated


def _indexes(connection: Connection) -> list[Any]:
    return [tuple(row) for row in connection.execute(text(INDEXES[connection.dialect.name]))]


def test_migrating_again_changes_nothing(empty: Open) -> None:
    store = empty()
    migrate(store)
    assert migrate(store) == (newest(), newest())


def test_two_that_migrate_at_once_do_it_once(empty: Open) -> None:
    stores = [empty() for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(migrate, stores))
    assert sorted(before or "" for before, _ in results) == ["", newest(), newest(), newest()]
    with stores[0].read() as connection:
        assert "notifications" in inspect(connection).get_table_names()


def test_a_new_file_that_another_is_about_to_switch_to_its_log_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    other = sqlite3.connect(path, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    with ThreadPoolExecutor(1) as threads:
        migrated = threads.submit(migrate, open_database(f"sqlite:///{path}"))
        with pytest.raises(TimeoutError):
            migrated.result(timeout=0.2)
        other.rollback()
        assert migrated.result(timeout=10) == (None, newest())
    other.close()


def test_a_store_of_a_newer_gateway_is_refused(empty: Open) -> None:
    store = empty()
    migrate(store)
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("UPDATE compatibility SET oldest = '9999'"))
    with pytest.raises(StoreTooNew, match="Start the newer gateway"):
        migrate(store)


async def test_a_second_gateway_on_one_file_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    first = Store(url)
    await first.open()
    with pytest.raises(StoreInUse, match="in use by another"):
        await Store(url).open()
    await first.close()
    second = Store(url)
    await second.open()
    await second.close()


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql+pymysql://db/x", "postgresql://db/x", "nonsense"]
)
def test_a_store_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="Write sqlite:"):
        open_database(url)


async def test_a_role_with_the_rights_that_the_documentation_names_is_enough(postgresql: Server) -> None:
    page = (Path(__file__).parents[2] / "docs" / "postgresql.md").read_text()
    rights = next(block for block in page.split("```sql\n") if block.startswith("GRANT")).split("```")[0]
    url = make_url(postgresql.make_database())
    name = "limited"
    postgresql.run(f"CREATE ROLE {name} LOGIN")
    with psycopg.connect(url.set(drivername="postgresql").render_as_string()) as connection:
        connection.execute(rights.replace("TO gateway", f"TO {name}").encode())
    store = Store(url.set(username=name).render_as_string())
    await store.open()
    await store.submit(keep(take=True))
    await store.write(lambda c: rates.draw(c, "table", 1, per_second=1.0, burst=1.0))
    with pytest.raises(DBAPIError, match="permission denied"):
        await store.write(lambda c: c.execute(text("CREATE TABLE more (id int)")))
    await store.close()
