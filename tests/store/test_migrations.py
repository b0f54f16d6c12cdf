from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from gateway.errors import StoreError, StoreInUse, StoreTooNew
from gateway.store.engine import Database
from gateway.store.migrate import migrate, newest
from gateway.store.store import Store
from gateway.store.tables import metadata


def database(folder: Path) -> Database:
    return Database(f"sqlite:///{folder / 'gateway.db'}")


def test_the_migrations_make_the_schema_that_the_program_works_with(tmp_path: Path) -> None:
    store = database(tmp_path)
    assert migrate(store) == (None, newest())
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    store.close()


def test_the_indexes_of_the_migrations_have_the_conditions_of_the_tables(tmp_path: Path) -> None:
    store = database(tmp_path)
    migrate(store)
    fresh = create_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    metadata.create_all(fresh)
    with store.read() as migrated, fresh.connect() as made:
        query = text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name")
        assert migrated.execute(query).all() == made.execute(query).all()
    fresh.dispose()
    store.close()


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    store = database(tmp_path)
    migrate(store)
    assert migrate(store) == (newest(), newest())
    store.close()


def test_two_that_migrate_at_once_do_it_once(tmp_path: Path) -> None:
    stores = [database(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(migrate, stores))
    assert sorted(before or "" for before, _ in results) == ["", newest(), newest(), newest()]
    with stores[0].read() as connection:
        assert "notifications" in inspect(connection).get_table_names()
    for store in stores:
        store.close()


def test_a_store_of_a_newer_gateway_is_refused(tmp_path: Path) -> None:
    store = database(tmp_path)
    migrate(store)
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNew, match="Start the newer gateway"):
        migrate(store)
    store.close()


async def test_a_second_gateway_on_one_store_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    first = Store(url)
    await first.open()
    with pytest.raises(StoreInUse, match="in use by another"):
        await Store(url).open()
    await first.close()
    second = Store(url)
    await second.open()
    await second.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql+psycopg://db/x", "nonsense"])
def test_a_store_that_is_no_file_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="sqlite:///gateway"):
        Database(url)
