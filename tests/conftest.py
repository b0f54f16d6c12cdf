from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgresql import Server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server; `make_database` gives each test a database of its own."""
    server = Server()
    yield server
    server.end()
