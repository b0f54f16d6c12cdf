"""PostgreSQL goes away, ends sessions, or lets transactions cross: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, func, make_url, select, text
from sqlalchemy.exc import DBAPIError

from gateway.errors import StoreError
from gateway.models import Outcome
from gateway.store.engine.database import ErrorKind, describe
from gateway.store.engine.postgresql import PostgresqlDatabase
from gateway.store.engine.writer import GroupWriter
from gateway.store.store import Store
from gateway.store.tables import attempts, deliveries, notifications
from gateway.store.work.queue import Begin
from tests.store.test_queue import ALL, delivered, settle
from tests.support.keeping import keep, notification
from tests.support.postgresql import Server

END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid != pg_backend_pid()"


@pytest.fixture
def url(postgresql: Server) -> str:
    return postgresql.make_database()


@pytest.fixture
def end_sessions(postgresql: Server, url: str) -> Callable[[], None]:
    """End every session on the store, as a restart of the database does."""

    def end() -> None:
        name = make_url(url).database
        with psycopg.connect(postgresql.url.set(drivername="postgresql").render_as_string()) as connection:
            connection.execute(END_SESSIONS, (name,))

    return end


class Unlucky(PostgresqlDatabase):
    """A database whose connection is lost at COMMIT, so many times, before or after the commit got through."""

    losses = 0
    gets_through = True

    @contextmanager
    def write(self) -> Iterator[Connection]:
        if self.losses == 0:
            with super().write() as connection:
                yield connection
            return
        self.losses -= 1
        lost = psycopg.OperationalError("the connection is lost")
        if self.gets_through:
            with super().write() as connection:
                yield connection
            raise lost
        with super().write() as connection:
            yield connection
            raise lost


@pytest.fixture
async def unlucky(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    database = Unlucky(make_url(url))
    monkeypatch.setattr("gateway.store.store.open_database", lambda _: database)
    store = Store(url, lease=30.0)
    await store.open()
    yield store
    await store.close()


async def test_sessions_that_were_ended_while_idle_are_not_noticed(
    store: Store, end_sessions: Callable[[], None]
) -> None:
    await store.submit(keep(notification("n1")))
    (due,) = await store.claim(ALL)
    await store.read(lambda c: c.execute(select(1)).scalar())
    end_sessions()
    await store.submit(keep(notification("n2")))
    assert await store.read(lambda c: c.execute(select(func.count()).select_from(notifications)).scalar()) == 2
    assert (await settle(store, delivered(due))).accepted


async def test_the_others_are_heard_again_after_the_session_was_ended(
    store: Store, end_sessions: Callable[[], None]
) -> None:
    heard = asyncio.Event()
    listening = asyncio.create_task(store.keep_listening(heard.set))
    for _ in range(2):
        async with asyncio.timeout(5):
            await heard.wait()
        heard.clear()
        await asyncio.to_thread(end_sessions)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


@pytest.mark.parametrize("gets_through", [True, False])
async def test_keeping_whose_commit_has_no_known_end_fails_and_the_next_try_finds_out(
    unlucky: Store, gets_through: bool
) -> None:
    unlucky.database.losses, unlucky.database.gets_through = 1, gets_through
    results = await asyncio.gather(
        *(unlucky.submit(keep(notification(f"n{i}"))) for i in range(5)), return_exceptions=True
    )
    lost = [number for number, one in enumerate(results) if isinstance(one, psycopg.OperationalError)]
    assert lost
    for number in lost:
        again = await unlucky.submit(keep(notification(f"n{number}")))
        assert again.repeat is gets_through
    count = select(func.count()).select_from(deliveries)
    assert await unlucky.read(lambda c: c.execute(count).scalar()) == 5


@pytest.mark.parametrize("gets_through", [True, False])
async def test_a_mark_and_a_settlement_of_unknown_end_are_repeated_and_count_once(
    unlucky: Store, gets_through: bool
) -> None:
    await unlucky.submit(keep())
    (due,) = await unlucky.claim(ALL)
    unlucky.database.losses, unlucky.database.gets_through = 2, gets_through
    assert await unlucky.begin([Begin(due=due, attempt_id=7, rendered=b"{}")]) == [True]
    unlucky.database.losses = 2
    settled = await settle(unlucky, delivered(due, 7))
    assert settled.accepted
    row = await unlucky.read(lambda c: c.execute(select(deliveries)).one())
    assert (row.state, row.attempts, row.sending_at) == ("delivered", 1, None)
    outcome = await unlucky.read(lambda c: c.execute(select(notifications.c.outcome)).scalar())
    assert outcome == Outcome.COMPLETED


async def test_transactions_that_cross_are_both_done(store: Store) -> None:
    def lock(first: int, second: int) -> Callable[[Connection, Sequence[int]], Sequence[int]]:
        def apply(connection: Connection, items: Sequence[int]) -> Sequence[int]:
            for number in (first, second):
                connection.execute(select(notifications).where(notifications.c.id == number).with_for_update())
                connection.execute(text("SELECT pg_sleep(0.2)"))
            return items

        return apply

    for key in ("n1", "n2"):
        await store.submit(keep(notification(key)))
    writers = [GroupWriter(name, store.database, lock(*ids)) for name, ids in (("a", (1, 2)), ("b", (2, 1)))]
    for writer in writers:
        writer.start()
    assert await asyncio.gather(*(writer.submit(7) for writer in writers)) == [7, 7]
    for writer in writers:
        await writer.close()


async def test_who_sleeps_amid_a_transaction_loses_its_locks(store: Store, url: str) -> None:
    await store.submit(keep())
    asleep = PostgresqlDatabase(make_url(url))

    def sleep() -> None:
        with asleep.write() as connection:
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '300ms'"))
            connection.execute(select(notifications).with_for_update())
            time.sleep(0.6)
            connection.execute(select(1))

    with pytest.raises(DBAPIError) as error:
        await asyncio.to_thread(sleep)
    assert asleep.fate(error.value) is ErrorKind.LOST
    asleep.close()


async def test_an_error_of_the_data_is_not_taken_for_a_lost_connection(store: Store) -> None:
    with pytest.raises(DBAPIError) as error:
        await store.write(lambda connection: connection.execute(text("SELECT 1/0")))
    assert store.database.fate(error.value) is ErrorKind.FAILED


async def test_readers_see_one_moment(store: Store) -> None:
    await store.submit(keep(notification("n1")))
    count = select(func.count()).select_from(notifications)
    with store.database.read() as connection:
        assert connection.execute(count).scalar() == 1
        await store.submit(keep(notification("n2")))
        assert connection.execute(count).scalar() == 1
        with pytest.raises(DBAPIError, match="read-only"):
            connection.execute(attempts.delete())


async def test_a_server_that_is_not_there_is_told_at_start(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"the store postgresql\+psycopg:///store\?host=.* cannot be used"):
        await Store(f"postgresql+psycopg:///store?host={tmp_path}").open()


async def test_what_the_database_says_of_a_row_is_not_passed_on(store: Store) -> None:
    await store.submit(keep())
    with pytest.raises(Exception, match="unique") as error:
        await store.write(lambda c: c.execute(text("INSERT INTO lanes SELECT * FROM lanes")))
    assert "Key" in str(error.value)
    assert describe(error.value) == 'duplicate key value violates unique constraint "pk_lanes"'
