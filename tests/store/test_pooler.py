"""A store behind a pooler: refused where sessions are lent out, at work where each client has its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import make_url

from gateway.errors import StoreError
from gateway.store.store import Store
from tests.support.keeping import keep, notification
from tests.support.pgbouncer import PgBouncer
from tests.support.postgresql import Server

Open = Callable[..., PgBouncer]


@pytest.fixture
def url(postgresql: Server) -> str:
    return postgresql.make_database()


@pytest.fixture
def pooler(url: str) -> Iterator[Open]:
    opened: list[PgBouncer] = []

    def make(mode: str, **options: str | int) -> PgBouncer:
        opened.append(PgBouncer(make_url(url), mode, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.end()


@pytest.mark.parametrize("options", [{}, {"server_round_robin": 1, "min_pool_size": 4}, {"default_pool_size": 1}])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_pooler_that_lends_sessions_out_is_refused(mode: str, options: dict[str, int], pooler: Open) -> None:
    made = pooler(mode, **options)
    store = Store(made.url().render_as_string(), lease=30.0)
    with pytest.raises(StoreError, match=r"pool_mode = transaction or statement.*Point `store` at PostgreSQL itself"):
        await store.open()
    store.database.close()


async def test_pooler_among_other_clients_is_refused(pooler: Open) -> None:
    made = pooler("transaction")
    plain = made.url().set(drivername="postgresql").render_as_string()
    with psycopg.connect(plain, prepare_threshold=None) as held:
        held.execute("SELECT 1")
        store = Store(made.url().render_as_string(), lease=30.0)
        with pytest.raises(StoreError, match="behind a pooler"):
            await store.open()
        store.database.close()


async def test_pooler_in_session_mode_serves_a_store(pooler: Open) -> None:
    made = pooler("session")
    store = Store(made.url().render_as_string(), lease=30.0)
    await store.open()
    kept = await asyncio.gather(*(store.submit(keep(notification(f"n{number}"))) for number in range(20)))
    assert len({one.id for one in kept}) == 20
    await store.close()


async def test_database_itself_is_no_pooler(url: str) -> None:
    store = Store(url, lease=30.0)
    for _ in range(5):
        store.database.hold()
    store.database.close()
