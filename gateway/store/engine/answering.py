"""A connection to PostgreSQL that gives up a server which does not answer, and what else its sessions are told.

TCP notices a machine that vanished. A relay, a pooler or a firewall in between can keep this side of a connection open
when the other one has ended, and a server can stand still: no answer comes then, and nobody would ever know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.engine.interfaces import IsolationLevel

R = TypeVar("R")

ANSWER_WITHIN = 30.0
"""Seconds in which the database answers a statement; then its connection is given up."""
LOCK_WITHIN = 10.0
"""Seconds that a statement waits for what another session has locked."""
CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    # A machine that vanished is noticed within seconds, not when its connection is used after hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "doforms-gateway",
}
_SESSION = f"""
SELECT set_config('idle_in_transaction_session_timeout', '5s', false),
       set_config('lock_timeout', '{LOCK_WITHIN:.0f}s', false),
       set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
                                             THEN 'on' ELSE current_setting('synchronous_commit') END, false),
       set_config('enable_seqscan', 'off', false),
       set_config('jit', 'off', false)
"""
"""A process that was stopped amid a transaction loses its locks; and what is acknowledged must be on disk.

A plan that was made while the tables were small would stay with a session as they grow: every statement of the work
has its index, and is to use it from the first row on.
"""


class NoAnswer(psycopg.OperationalError):
    """The database did not answer in time; whether it did what it was told is not known."""


class AnsweringConnection(psycopg.Connection[Any]):
    """A connection whose every wait for the server has an end."""

    answer_within: float | None = ANSWER_WITHIN
    """Seconds; None: however long it takes."""
    on_silence: Callable[[str], None]
    """Called with the reason when it is given up."""

    def wait(self, gen: PQGen[R], interval: float = 0.1, timeout: float | None = None) -> R:
        """Wait for an answer."""
        limit = self.answer_within if timeout is None else timeout
        try:
            return super().wait(gen, interval=interval, timeout=limit)
        except psycopg.errors._WaitTimeout:
            if timeout is not None:
                raise
        self.pgconn.finish()  # the server may still do it: nothing more must go this way
        why = f"the database gave no answer within {limit:.0f} s; its connection was given up"
        self.on_silence(why)
        raise NoAnswer(why)


def answering_engine(
    url: URL, *, begins: IsolationLevel | None, answer_within: float, on_silence: Callable[[str], None]
) -> Engine:
    """Return connections whose driver begins each transaction, to read only; None: whoever uses them begins it."""

    def connect() -> AnsweringConnection:
        _, options = engine.dialect.create_connect_args(url)
        connection = AnsweringConnection.connect(**{**options, **CONNECT})
        connection.on_silence = on_silence
        connection.autocommit = True
        connection.execute(_SESSION)
        connection.answer_within = answer_within
        connection.autocommit = begins is None
        connection.read_only = begins is not None
        return connection

    engine = create_engine(
        url,
        creator=connect,
        isolation_level=begins or "AUTOCOMMIT",
        pool_size=2,
        max_overflow=2,
        hide_parameters=True,
    )
    return engine


def be_patient(driver_connection: Any) -> None:
    """Let the statements of a connection take as long as they need, until the next transaction: a migration may."""
    driver_connection.answer_within = None
