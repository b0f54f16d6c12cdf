"""The engine of a destination: connections that neither wait for ever nor leave half a transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

from gateway_database.options import DatabaseSettings

_BUSY = 10.0
_CONNECT_WITHIN = 10


def make_engine(settings: DatabaseSettings) -> Engine:
    """Make the engine; no connection is opened."""
    url = make_url(settings.url)
    if settings.username is not None:
        url = url.set(username=settings.username)
    if settings.password is not None:
        url = url.set(password=settings.password.get_secret_value())
    name = url.get_backend_name()
    options: dict[str, Any] = {"pool_size": settings.pool_size, "max_overflow": 0, "pool_pre_ping": True}
    if name == "sqlite":
        options["connect_args"] = {"timeout": _BUSY, "check_same_thread": False}
    elif name == "postgresql" and url.get_driver_name() == "psycopg":
        options["connect_args"] = {"connect_timeout": _CONNECT_WITHIN}
    engine = create_engine(url, **options)
    if name == "sqlite":
        _begin_at_once(engine)
    return engine


def _begin_at_once(engine: Engine) -> None:
    """Take SQLite's write lock at the beginning: one taken later can fail where waiting would have helped."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
