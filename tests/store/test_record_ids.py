"""Learnt ids: kept by account and key, replaced when they change, for ever."""

from __future__ import annotations

from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.operator import retention
from gateway.store.store import Store
from gateway.store.work import record_ids


async def known(store: Store, *keys: str, account: str = "acme") -> dict[str, str]:
    return await store.read(lambda connection: record_ids.known(connection, account, keys))


async def learn(store: Store, pairs: dict[str, str], account: str = "acme") -> None:
    await store.write(lambda connection: record_ids.learn(connection, account, pairs))


async def test_what_was_learnt_is_known_of_its_account_alone(store: Store) -> None:
    await learn(store, {f"r{number}": f"id-{number}" for number in range(1000)})
    assert await known(store, "r1", "r999", "other") == {"r1": "id-1", "r999": "id-999"}
    assert await known(store) == {}
    assert await known(store, "r1", account="other") == {}


async def test_a_newer_id_replaces_the_one_that_was_known(store: Store) -> None:
    await learn(store, {"r1": "old", "r2": "same"})
    await learn(store, {"r1": "new", "r2": "same"})
    assert await known(store, "r1", "r2") == {"r1": "new", "r2": "same"}


async def test_what_a_database_would_refuse_is_not_learnt(store: Store) -> None:
    await learn(store, {"r\x00": "1", "r1": "\ud800", "": "2", "r2": "", "long": "x" * 5000, "r3": "3"})
    assert await known(store, "r", "r1", "", "r2", "r3") == {"r3": "3"}


async def test_retention_never_touches_it(store: Store) -> None:
    await learn(store, {"r1": "id-1"})
    step: retention.Step | None = retention.first_step(moment=now() + 10 * 365 * 86400 * SECOND, older_than=86400.0)
    while step is not None:
        _, step = await store.write(step)
    assert await known(store, "r1") == {"r1": "id-1"}
