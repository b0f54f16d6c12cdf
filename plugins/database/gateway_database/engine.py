"""The engine of a destination: connections that neither wait for ever nor leave half a transaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from gateway.api import to_json
from gateway_database import mariadb
from gateway_database.drivers import arguments_of
from gateway_database.failures import is_useless_session
from gateway_database.options import DatabaseSettings
from gateway_database.silence import SilenceGuard
from gateway_database.sqlite_names import protect_names

LOOKING = {"gateway_looking": True}
"""Execution options of a connection that only looks: it takes no write lock."""
_WAIT = 10
"""Seconds to wait for a connection or a lock; the deliveries then come again."""
_SILENCE = 3
"""A statement may take so many times as long, as with the other drivers."""


def make_engine(settings: DatabaseSettings, *, wait: int = _WAIT) -> Engine:
    """Make the engine; no connection is opened. ``wait`` is the seconds that a connection or a lock may take."""
    url, arguments = arguments_of(settings.location, wait)
    options: dict[str, Any] = {"json_serializer": to_json, "connect_args": arguments}
    if not _is_in_memory(url):
        options |= {"pool_size": settings.pool_size, "max_overflow": 0, "pool_timeout": wait, "pool_pre_ping": True}
    engine = create_engine(url, **options)
    if url.get_backend_name() == "sqlite":
        _prepare_sqlite(engine)
        protect_names(engine)
        return engine
    _tell_of_driver_faults(engine)
    _drop_useless_sessions(engine)
    if url.get_driver_name() == "psycopg":
        _limit_waiting(engine, wait)
        SilenceGuard(_SILENCE * wait).watch(engine)
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


def _tell_of_driver_faults(engine: Engine) -> None:
    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        try:
            return dialect.connect(*args, **kwargs)
        except (RuntimeError, OSError, TypeError, ValueError) as error:
            # No errors of the server: a package for this way to log in, a file or an option that is not there.
            raise dialect.loaded_dbapi.NotSupportedError(f"connecting with this URL: {error}") from error


def _drop_useless_sessions(engine: Engine) -> None:
    @event.listens_for(engine, "handle_error")
    def drop(context: Any) -> None:
        if is_useless_session(context.sqlalchemy_exception):
            context.is_disconnect = True  # new ones are opened, after a fail-over to the server that takes rows now


def _limit_waiting(engine: Engine, wait: int) -> None:
    @event.listens_for(engine, "begin")
    def limit(connection: Connection) -> None:
        # For this transaction alone: behind a pooler the session is lent to others next.
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{wait}s'")
