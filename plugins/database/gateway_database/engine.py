"""The engine of a destination: connections that neither wait for ever nor leave half a transaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from gateway.api import to_json
from gateway_database import mariadb
from gateway_database.options import DatabaseSettings

LOOKING = {"gateway_looking": True}
"""Execution options of a connection that only looks: it takes no write lock."""
_WAIT = 10
"""Seconds to wait for a connection or a lock; the deliveries then come again."""


def make_engine(settings: DatabaseSettings, *, wait: int = _WAIT) -> Engine:
    """Make the engine; no connection is opened. ``wait`` is the seconds that a connection or a lock may take."""
    url = settings.location
    options: dict[str, Any] = {"json_serializer": to_json}
    if not _is_in_memory(url):
        options |= {"pool_size": settings.pool_size, "max_overflow": 0, "pool_timeout": wait, "pool_pre_ping": True}
    if url.get_driver_name() == "psycopg":
        # A server that vanished without a word is noticed within a minute.
        options["connect_args"] = {
            "connect_timeout": wait,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        }
    elif url.get_driver_name() == "pysqlite":
        options["connect_args"] = {"timeout": wait, "check_same_thread": False}
        # Else SQLAlchemy looks for parameters in the text of the statement, and finds some in names such as `%(`.
        options["paramstyle"] = "named"
    elif url.get_driver_name() == "pymysql":
        options["connect_args"] = {"connect_timeout": wait, "read_timeout": 3 * wait, "write_timeout": 3 * wait}
    engine = create_engine(url, **options)
    if url.get_backend_name() == "sqlite":
        _prepare_sqlite(engine)
    elif url.get_driver_name() == "psycopg":
        _limit_waiting(engine, wait)
    elif url.get_backend_name() in mariadb.NAMES:
        mariadb.set_up(engine, wait)
    return engine


def _is_in_memory(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and (not url.database or ":memory:" in url.database)


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "do_connect")
    def look_first(dialect: Any, record: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
        path = str(args[0]) if args else ":memory:"
        # SQLite would make an empty database of a misspelt name or below a disk that is not mounted.
        if not path.startswith("file:") and ":memory:" not in path and not Path(path).is_file():
            raise sqlite3.OperationalError(f"unable to open database file: {path} is not there")

    @event.listens_for(engine, "connect")
    def begin_ourselves(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin_at_once(connection: Connection) -> None:
        # A write lock taken later than at the beginning can fail where waiting would have helped.
        looking = connection.get_execution_options().get("gateway_looking")
        connection.exec_driver_sql("BEGIN" if looking else "BEGIN IMMEDIATE")


def _limit_waiting(engine: Engine, wait: int) -> None:
    @event.listens_for(engine, "connect")
    def limit(connection: Any, record: Any) -> None:
        connection.execute(f"SET lock_timeout = '{wait}s'")
        connection.commit()
