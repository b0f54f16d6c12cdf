"""The connection to the store: SQLite made safe, and transactions that say whether they write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from gateway.errors import StoreError

BUSY_TIMEOUT = 10_000
"""Milliseconds that a transaction waits for another process (a command on the store) to end its own."""


class Database:
    """An SQLite database as the gateway uses it: WAL, every commit on disk, one writer at a time.

    ``synchronous=FULL`` because an acknowledged notification must survive a power cut; writers begin ``IMMEDIATE`` so
    that a transaction never finds out half-way that it cannot write. Within the process writers queue on a lock
    instead of SQLite's busy timeout, which sleeps.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.path = sqlite_path(url)
        self._readers = _engine(url, "BEGIN")
        self._writers = _engine(url, "BEGIN IMMEDIATE")
        self._writing = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads."""
        with self._readers.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that writes; it is on disk when the block has ended."""
        with self._writing, self._writers.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._readers.dispose()
        self._writers.dispose()


def is_sqlite(url: str) -> bool:
    """Tell whether a store's URL names an SQLite database."""
    return make_url(url).get_backend_name() == "sqlite"


def sqlite_path(url: str) -> Path:
    """Return the file behind an SQLite URL.

    Raises:
        StoreError: the URL is none, or names no file.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(f"store = {url!r} is no database URL. Write sqlite:///gateway.db") from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise StoreError(
            f"store = {parsed.render_as_string()!r} cannot be used: this version keeps its store in an SQLite file. "
            "Write sqlite:///gateway.db"
        )
    return Path(parsed.database)


def _engine(url: str, begin: str) -> Engine:
    engine = create_engine(url, connect_args={"check_same_thread": False}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's "begin" event, not the driver, opens transactions
        try:
            for pragma in (
                f"busy_timeout={BUSY_TIMEOUT}",
                "journal_mode=WAL",
                "synchronous=FULL",
                "foreign_keys=ON",
                "cache_size=-65536",
                "temp_store=MEMORY",
            ):
                connection.execute(f"PRAGMA {pragma}")
        except Exception:
            connection.close()
            raise

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def say(error: BaseException) -> str:
    """Tell what the database said, without the statement and its values."""
    said = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return str(said).strip() or type(said).__name__
