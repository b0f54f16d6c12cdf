"""A database that does not answer, or a lock that is never let go: bounded, told, and over once it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psycopg
import pytest
import structlog
from sqlalchemy import URL, Connection, func, make_url, select, text

from gateway.errors import StoreError
from gateway.models import RecordKind
from gateway.store.engine import answering, postgresql
from gateway.store.engine.answering import AnsweringConnection, NoAnswer
from gateway.store.engine.connect import open_database
from gateway.store.engine.database import ErrorKind
from gateway.store.engine.locks import lock_name
from gateway.store.engine.migrate import migrate
from gateway.store.engine.postgresql import PostgresqlDatabase
from gateway.store.store import Store
from gateway.store.tables import notifications
from gateway.store.work.questions import FormOf
from tests.store.test_queue import ALL, delivered, settle
from tests.support.keeping import WEBSERVICE, keep, notification
from tests.support.postgresql import Server
from tests.support.tcp import SilentRelay, silent_relay

ANSWER_WITHIN = 2.0
COUNT = select(func.count()).select_from(notifications)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnsweringConnection, "answer_within", ANSWER_WITHIN)
    monkeypatch.setattr(postgresql, "ANSWER_WITHIN", ANSWER_WITHIN)
    monkeypatch.setattr("gateway.store.engine.writer.STALL", 1.0)
    monkeypatch.setattr("gateway.store.store.STALL", 1.0)
    made = PostgresqlDatabase.__init__

    def impatient(self: PostgresqlDatabase, url: URL, *, answer_within: float = ANSWER_WITHIN) -> None:
        made(self, url, answer_within=answer_within)

    monkeypatch.setattr(PostgresqlDatabase, "__init__", impatient)


@pytest.fixture
def url(postgresql: Server) -> str:
    return str(postgresql.make_database())


@pytest.fixture
async def relay(url: str) -> AsyncIterator[SilentRelay]:
    folder = make_url(url).query["host"]
    async with silent_relay(f"{folder}/.s.PGSQL.5432") as made:
        yield made


@pytest.fixture
async def behind(url: str, relay: SilentRelay) -> AsyncIterator[Store]:
    """A store that is reached through the relay."""
    parsed = make_url(url)
    through = URL.create(
        "postgresql+psycopg", username=parsed.username, host="127.0.0.1", port=relay.port, database=parsed.database
    )
    store = Store(through.render_as_string(hide_password=False), lease=30.0)
    await store.open()
    yield store
    await store.close()


async def test_connections_whose_other_side_ended_are_given_up_and_replaced(behind: Store, relay: SilentRelay) -> None:
    await behind.submit(keep(notification("n1")))
    (due,) = await behind.claim(ALL)
    assert await behind.read(lambda c: c.execute(COUNT).scalar()) == 1
    relay.fall_silent()
    async with asyncio.timeout(6 * ANSWER_WITHIN):
        await asyncio.gather(behind.submit(keep(notification("n2"))), return_exceptions=True)
        assert (await settle(behind, delivered(due))).accepted
        assert await behind.read(lambda c: c.execute(COUNT).scalar()) in (1, 2)
        await behind.submit(keep(notification("n3")))
    assert behind.trouble is None


async def test_reader_whose_other_side_ended_is_answered_by_a_new_connection(behind: Store, relay: SilentRelay) -> None:
    for _ in range(3):
        assert await behind.read(lambda c: c.execute(COUNT).scalar()) == 0
        relay.fall_silent()
    async with asyncio.timeout(6 * ANSWER_WITHIN):
        assert await behind.read(lambda c: c.execute(COUNT).scalar()) == 0
    assert any("no answer within" in stall for stall in behind.take_stalls())
    assert behind.take_stalls() == []


async def test_database_that_takes_connections_and_says_nothing_is_told_until_it_speaks(
    behind: Store, relay: SilentRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(answering.CONNECT, "connect_timeout", 2)
    await behind.submit(keep(notification("n1")))
    (due,) = await behind.claim(ALL)
    relay.deaf = True
    relay.fall_silent()
    settling = asyncio.create_task(settle(behind, delivered(due)))
    with pytest.raises(Exception, match=r"no answer|timeout|could not connect|server closed") as failed:
        async with asyncio.timeout(10 * ANSWER_WITHIN):
            await behind.submit(keep(notification("n2")))
    assert behind.database.fate(failed.value) is ErrorKind.LOST
    assert behind.trouble is not None
    relay.deaf = False
    async with asyncio.timeout(10 * ANSWER_WITHIN):
        assert (await settling).accepted
        await behind.submit(keep(notification("n3")))
    assert behind.trouble is None


async def test_others_are_heard_again_after_the_connection_that_listens_fell_silent(
    behind: Store, relay: SilentRelay, url: str
) -> None:
    heard = asyncio.Event()
    listening = asyncio.create_task(behind.keep_listening(heard.set))
    try:
        async with asyncio.timeout(10):
            await heard.wait()
        heard.clear()
        relay.fall_silent()
        async with asyncio.timeout(10 * ANSWER_WITHIN):
            await heard.wait()  # it tells so when it has connected anew
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def test_statement_of_a_patient_command_may_take_longer(url: str) -> None:
    database = open_database(url, patient=True)
    with database.read() as connection:
        connection.execute(text(f"SELECT pg_sleep({2 * ANSWER_WITHIN})"))
    database.close()
    database = open_database(url)
    with pytest.raises(Exception, match="no answer within") as failed, database.write() as connection:
        connection.execute(text(f"SELECT pg_sleep({4 * ANSWER_WITHIN})"))
    assert isinstance(getattr(failed.value, "orig", failed.value), NoAnswer)
    with database.read() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    database.close()


@contextmanager
def stranger(server: Server, url: str, statement: str) -> Iterator[None]:
    """Hold a lock in a session of a role that may do nothing but connect."""
    name = make_url(url).database
    with psycopg.connect(server.url.set(drivername="postgresql", database=name).render_as_string()) as admin:
        admin.execute("DO $$ BEGIN CREATE ROLE stranger LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        admin.commit()
        with psycopg.connect(
            server.url.set(drivername="postgresql", database=name, username="stranger").render_as_string(),
            autocommit=True,
        ) as session:
            session.execute(statement.encode())
            yield


ADVISORY = [
    f"SELECT pg_advisory_lock({postgresql._MIGRATION_LOCK})",
    f"SELECT pg_advisory_lock(hashtextextended('questions of submission of {WEBSERVICE}', 0))",
    "SELECT pg_advisory_lock(n) FROM generate_series(-500, 500) AS n",
]


@pytest.mark.parametrize("statement", ADVISORY)
async def test_advisory_locks_of_a_stranger_hold_nothing_up(postgresql: Server, url: str, statement: str) -> None:
    with stranger(postgresql, url, statement):
        async with asyncio.timeout(20):
            store = Store(url, lease=30.0)
            await store.open()
            await store.submit(keep(notification("n1")))
            await store.write(_questions)
            (due,) = await store.claim(ALL)
            assert (await settle(store, delivered(due))).accepted
            await store.close()


def _questions(connection: Connection) -> None:
    form = FormOf(WEBSERVICE, RecordKind.SUBMISSION)
    lock_name(connection, f"questions of {form.record_kind.value} of {form.webservice_id}")


def test_migration_that_a_stranger_holds_up_ends_in_a_sentence(
    postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.engine.postgresql._MIGRATED_WITHIN", 1.0)
    url = str(postgresql.make_database(migrated=False))
    with (
        stranger(postgresql, url, ADVISORY[0]),
        structlog.testing.capture_logs() as logs,
        pytest.raises(StoreError, match=r"process \d+, user stranger.*pg_terminate_backend.*REVOKE CONNECT"),
    ):
        migrate(open_database(url))
    assert "user stranger" in logs[0]["holder"]
    assert migrate(open_database(url))[0] is None


async def test_lock_that_is_never_let_go_is_bounded_and_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "_SESSION", answering._SESSION.replace("10s", "1500ms"))
    store = Store(url, lease=30.0)
    await store.open()
    await store.submit(keep(notification("n1")))
    (due,) = await store.claim(ALL)
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as other:
        other.execute("LOCK TABLE deliveries, notifications IN ACCESS EXCLUSIVE MODE")
        settling = asyncio.create_task(settle(store, delivered(due)))
        began = time.monotonic()
        with pytest.raises(Exception, match="lock timeout"):
            await store.submit(keep(notification("n2")))
        assert time.monotonic() - began < 12
        assert any("lock timeout" in stall for stall in store.take_stalls())
        assert not settling.done()
    async with asyncio.timeout(10):
        assert (await settling).accepted
    await store.close()
