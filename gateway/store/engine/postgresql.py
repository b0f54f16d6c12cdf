"""The store in PostgreSQL: several gateway processes, on several machines, share the work."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import structlog
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from gateway.errors import StoreError
from gateway.store.engine.answering import ANSWER_WITHIN, CONNECT, answering_engine, be_patient
from gateway.store.engine.bulk_sql import scalar_of
from gateway.store.engine.database import ErrorKind, describe
from gateway.store.engine.ids import SequenceIds
from gateway.store.engine.pooler import REMEDY, SAID, lends_sessions
from gateway.store.engine.transaction_time import ASKED, Reading, micros, now, steady

log = structlog.get_logger(__name__)

_BEGIN = """
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint
"""
"""Both at once: a round trip of its own, before each transaction, would be a quarter of it."""
_MIGRATION_LOCK = 0x646F466F726D73  # "doForms"; an advisory lock is a number
_MIGRATED_WITHIN = 60.0
"""Seconds that a start waits for the migration of another one, which takes its lock only if there is one to make."""
_TRY_AGAIN = 0.1
_TOLD_EACH = 100
_HOLDER = """
SELECT string_agg('process ' || pid || ', user ' || usename || ', application ' || application_name, '; ')
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND classid = %s::bigint::oid AND objid = %s::bigint::oid
"""
_CHANNEL = "doforms_gateway"
_CROSSED = frozenset({"40001", "40P01", "55P03"})
"""A deadlock, a serialization error, or a lock that was not waited for any longer."""
_LOST = frozenset({"25P03", "25006", "53300", "57P01", "57P02", "57P03", "57P05"})
"""The session was ended from outside, the server starts or stops, or it takes no more connections."""
_ASK_AGAIN = 10.0
"""Seconds after which a process that writes nothing asks the database's clock for its own sake."""
_LISTEN_PAUSE = 0.02
_LONGEST_WAIT = 5.0


class PostgresqlDatabase:
    """A PostgreSQL database as the gateway uses it.

    Writers read what is committed and lock the rows they decide by; readers see one snapshot. A transaction that writes
    begins by asking the database's clock, which also shows whether a connection that lay in the pool still lives.
    """

    shared = True

    def __init__(self, url: URL, *, answer_within: float = ANSWER_WITHIN) -> None:
        self.name = url._replace(password=None).render_as_string()
        self.ids = SequenceIds()
        self._process = secrets.token_hex(8)
        self._reading = Reading(steady(), now(), steady())
        self._asked_at = float("-inf")
        self._answer_within = answer_within
        self._is_silent = False
        self.stalls: list[str] = []

        def engine(begins: IsolationLevel | None) -> Engine:
            return answering_engine(url, begins=begins, answer_within=answer_within, on_silence=self._gave_up)

        self._readers, self._writers = engine("REPEATABLE READ"), engine(None)
        self._listening = {**self._writers.dialect.create_connect_args(url)[1], **CONNECT}

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads."""
        if time.monotonic() - self._asked_at > _ASK_AGAIN:
            self._begin(self._writers).close()
        self._forget_silent()
        with self._readers.begin() as connection:
            connection.info[ASKED] = (time.monotonic(), self.now())
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that writes; it is on disk when the block has ended."""
        try:
            connection = self._begin(self._writers)
        except (DBAPIError, psycopg.Error) as error:
            if self.fate(error) is not ErrorKind.LOST:
                raise
            connection = self._begin(self._writers)  # the other one had died in the pool, with the database's restart
        with connection:
            yield connection
            connection.commit()

    def _gave_up(self, why: str) -> None:
        """Note that a connection gave no answer: the others may lead to the same."""
        log.warning("the store does not answer; all connections are given up and made anew", reason=why)
        self._is_silent = True
        self.stalls = [*self.stalls[-9:], why]

    def _forget_silent(self) -> None:
        if self._is_silent:
            self._is_silent = False
            self._readers.dispose()
            self._writers.dispose()

    def _begin(self, engine: Engine) -> Connection:
        self._forget_silent()
        connection = engine.connect()
        driver: Any = connection.connection.driver_connection
        try:
            driver.answer_within = ANSWER_WITHIN  # what time it is needs no longer, whatever follows
            connection.begin()
            asked_at, before = time.monotonic(), steady()
            cursor = connection.connection.cursor()
            cursor.execute(_BEGIN)
            cursor.nextset()
            moment: int = scalar_of(cursor)
            driver.answer_within = self._answer_within
        except BaseException:
            connection.close()
            raise
        connection.info[ASKED] = (asked_at, moment)
        self._reading, self._asked_at = Reading(before, moment, steady()), asked_at
        return connection

    def now(self) -> int:
        """Return the database's time, from what it said last and the time since; this machine's clock may leap."""
        asked = self._reading
        return asked.moment + micros(steady() - asked.after)

    def reading(self) -> Reading:
        """Return what the database's clock showed at the last transaction that wrote."""
        return self._reading

    def free(self) -> None:
        """Return None: the disk is the server's."""

    def exists(self) -> bool:
        """Tell that it exists; what is wrong otherwise the database itself says when it is connected to."""
        return True

    def prepare(self) -> None:
        """Do nothing: a database is made by whoever runs the server."""

    def hold(self) -> None:
        """Raise StoreError behind a pooler that lends sessions out; any number of processes may use it."""
        try:
            lends = lends_sessions(self._listening)
        except psycopg.Error:
            return  # whoever uses it next says why it cannot be reached
        if lends:
            raise StoreError(f"the store {self.name} {SAID}. {REMEDY}")

    def lock_schema(self, connection: Connection) -> None:
        """Wait until nobody else migrates; the lock ends with the transaction.

        Raises:
            StoreError: somebody has it for longer than a migration should take. Whoever may connect can take it.
        """
        be_patient(connection.connection.driver_connection)
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")  # of tables: whoever uses them ends in a moment
        until = time.monotonic() + _MIGRATED_WITHIN
        tried = 0
        while not connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock(%s)", (_MIGRATION_LOCK,)).scalar():
            if tried % _TOLD_EACH == 0:
                holder = connection.exec_driver_sql(
                    _HOLDER, (_MIGRATION_LOCK >> 32, _MIGRATION_LOCK & 0xFFFFFFFF)
                ).scalar()
                log.warning("waiting for whoever migrates the store", holder=holder)
            if time.monotonic() > until:
                raise StoreError(
                    f"the store {self.name} cannot be migrated: for {_MIGRATED_WITHIN:.0f} s another session has had "  # nosec B608
                    f"the lock for that ({holder}). If it is no `gateway`, end it: SELECT pg_terminate_backend(PID); "
                    "and let nobody else connect to this database: REVOKE CONNECT ON DATABASE ... FROM PUBLIC"
                )
            tried += 1
            time.sleep(_TRY_AGAIN)

    def fate(self, error: BaseException) -> ErrorKind:
        """Tell what an error out of a transaction says about it."""
        if isinstance(error, NoConnectionFree):
            return ErrorKind.LOST
        said = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(said, psycopg.Error):
            return ErrorKind.FAILED
        state = said.sqlstate
        if state is None:  # the driver itself: it cannot connect, or the other side hung up
            return (
                ErrorKind.LOST
                if isinstance(said, psycopg.OperationalError | psycopg.InterfaceError)
                else ErrorKind.FAILED
            )
        if state in _CROSSED:
            return ErrorKind.CROSSED
        return ErrorKind.LOST if state in _LOST or state.startswith("08") else ErrorKind.FAILED

    def tell_others(self, connection: Connection) -> None:
        """Wake the other processes when this transaction commits."""
        connection.exec_driver_sql("SELECT pg_notify(%s, %s)", (_CHANNEL, self._process))

    async def keep_listening(self, heard: Callable[[], None]) -> None:
        """Call ``heard`` whenever another process told of work, and after each connection: it may have missed some."""
        wait, hears = _LISTEN_PAUSE, True
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(**self._listening, autocommit=True) as connection:
                    async with asyncio.timeout(ANSWER_WITHIN):
                        await connection.execute(f"LISTEN {_CHANNEL}")
                    heard()
                    wait, hears = _LISTEN_PAUSE, True
                    while True:
                        told = {one.payload async for one in connection.notifies(timeout=ANSWER_WITHIN, stop_after=1)}
                        if not told:  # nobody had anything to tell, or nothing comes through any more
                            async with asyncio.timeout(ANSWER_WITHIN):
                                await connection.execute("SELECT 1")
                        if told - {self._process}:
                            heard()
                        await asyncio.sleep(_LISTEN_PAUSE)
            except (psycopg.Error, TimeoutError) as error:
                if hears:
                    log.info(
                        "other gateways are not heard; the store is looked at once a second", reason=describe(error)
                    )
                hears = False
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def close(self) -> None:
        """Close every connection."""
        self._readers.dispose()
        self._writers.dispose()
