"""One body of tests for every database that can keep a store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.store.engine.connect import open_database
from gateway.store.engine.database import Database
from gateway.store.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database a test runs on."""
    return str(request.param)


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of this test alone; on PostgreSQL it has its tables already."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    return str(request.getfixturevalue("postgresql").make_database())


@pytest.fixture
def url_of_empty(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of this test alone without any table."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    return str(request.getfixturevalue("postgresql").make_database(migrated=False))


@pytest.fixture
def empty(url_of_empty: str) -> Iterator[Callable[[], Database]]:
    """Open the same empty database again and again."""
    with ExitStack() as opened:

        def make() -> Database:
            database = open_database(url_of_empty)
            opened.callback(database.close)
            return database

        yield make


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = Store(url, lease=30.0)
    await opened.open()
    yield opened
    await opened.close()
