"""The store in an SQLite file: made safe, and kept by one `gateway serve` at a time."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from gateway.store.engine.database import ErrorKind
from gateway.store.engine.ids import CountedIds
from gateway.store.engine.sqlite_file import FileLock, keep_to_owner, make_own, refuse_unusable
from gateway.store.engine.transaction_time import Reading, now, steady

BUSY_TIMEOUT = 10_000
"""Milliseconds that a transaction waits for another process (a command on the store) to end its own."""
LARGEST_LOG = 4 * 1024 * 1024
"""Bytes that the write-ahead log keeps once all in it is in the file: a long reader lets it grow meanwhile."""
_ROOM_FOR_THE_LOG = 16 * 1024 * 1024
"""Bytes that the write-ahead log may need, however much of the file may be written over."""


class FairLock:
    """A lock whose holder cannot take it again before who waits has had it, as a plain lock's holder can.

    Without that the ledger, which writes one transaction after the other while there is work, would keep receiving out.
    """

    def __init__(self) -> None:
        self._next = threading.Lock()
        self._held = threading.Lock()

    def __enter__(self) -> None:
        """Take it; one waits for its holder, any others for that one."""
        with self._next:
            self._held.acquire()

    def __exit__(self, *_: object) -> None:
        """Let it go."""
        self._held.release()


class SqliteDatabase:
    """An SQLite database as the gateway uses it: WAL, every commit on disk, one writer at a time.

    ``synchronous=FULL`` because an acknowledged notification must survive a power cut; writers begin ``IMMEDIATE`` so
    that a transaction never finds out half-way that it cannot write. Within the process writers queue on a lock
    instead of SQLite's busy timeout, which sleeps.
    """

    shared = False

    def __init__(self, url: URL) -> None:
        assert url.database is not None
        self.path = Path(url.database)
        self.name = str(self.path)
        self.ids = CountedIds()
        self.stalls: list[str] = []
        self._readers = _engine(url, "BEGIN")
        self._writers = _engine(url, "BEGIN IMMEDIATE")
        self._writing = FairLock()
        self._lock: FileLock | None = None

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

    def now(self) -> int:
        """Return the time by this machine's clock, which is the store's."""
        return now()

    def reading(self) -> Reading:
        """Read this machine's clock."""
        return Reading(steady(), now(), steady())

    def exists(self) -> bool:
        """Tell whether the file is there, and can be used if it is; raises StoreError."""
        refuse_unusable(self.path)
        return self.path.exists()

    def free(self) -> int:
        """Tell what is left on the disk, together with what retention has freed within the file.

        Where the disk has no room for the log, what is free in the file does not help.
        """
        left = shutil.disk_usage(self.path.parent).free
        if left < _ROOM_FOR_THE_LOG:
            return left
        with self.read() as connection:
            pages: int = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
            size: int = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
        return left + pages * size

    def prepare(self) -> None:
        """Make the file, for its owner alone; raises StoreError."""
        refuse_unusable(self.path)
        make_own(self.path)

    def hold(self) -> None:
        """Take the lock that one `gateway serve` has on the file; it ends with the process, however that ends."""
        refuse_unusable(self.path)
        self._lock = FileLock(self.path)
        for suffix in ("-wal", "-shm"):
            keep_to_owner(self.path.with_name(self.path.name + suffix))

    def lock_schema(self, connection: Connection) -> None:
        """Do nothing: a transaction that writes has the whole file."""

    def fate(self, error: BaseException) -> ErrorKind:
        """Tell what an error out of a transaction says about it; a file has no connection to lose.

        What crosses is a command on the store that took an id which was counted on.
        """
        said = error.orig if isinstance(error, DBAPIError) else error
        return ErrorKind.CROSSED if isinstance(said, sqlite3.IntegrityError) else ErrorKind.FAILED

    def tell_others(self, connection: Connection) -> None:
        """Do nothing: there are no others."""

    async def keep_listening(self, heard: Callable[[], None]) -> None:
        """Return: there are no others."""

    def close(self) -> None:
        """Close every connection and let go of the lock."""
        self._readers.dispose()
        self._writers.dispose()
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _engine(url: URL, begin: str) -> Engine:
    options = {
        "check_same_thread": False,
        "cached_statements": 512,
    }  # as `Prepared` makes texts for many numbers of rows
    engine = create_engine(url, connect_args=options, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's "begin" event, not the driver, opens transactions
        try:
            connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
            _use_the_log(connection)
            for pragma in (
                "synchronous=FULL",
                "foreign_keys=ON",
                "cache_size=-65536",
                "temp_store=MEMORY",
                f"journal_size_limit={LARGEST_LOG}",
            ):
                connection.execute(f"PRAGMA {pragma}")
        except Exception:
            connection.close()
            raise

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _use_the_log(connection: sqlite3.Connection) -> None:
    """Switch a file to its write-ahead log, which is there for good then.

    Of several that meet a new file at once, one switches it; the others are told at once that it is locked, whatever
    the busy timeout says (SQLite's `sqlite3_busy_handler`: where waiting could end in a deadlock, nobody waits).
    """
    until = time.monotonic() + BUSY_TIMEOUT / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
