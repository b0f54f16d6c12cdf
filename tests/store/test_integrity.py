"""What must hold in a store: each inconsistency is made by hand, found, told and mended; a store at work has none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import text

from gateway.models import DeliveryState
from gateway.store.operator.integrity import KINDS, Inconsistency, inspect, mend
from gateway.store.store import Store
from tests.store.test_queue import ALL, dead, delivered
from tests.store.test_reports import held
from tests.support.keeping import keep, notification

UNMENDABLE = {"delivery without a lane", "one number twice in a lane"}

BY_HAND: dict[str, Sequence[str]] = {
    "deliveries of nothing": ["UPDATE deliveries SET notification_id = 999 WHERE id = {ended}"],
    "records of nothing": [
        "INSERT INTO records (notification_id, kind, account, record_key, raw, fetched_at) "
        "VALUES (999, 'submission', 'acme', 'r1', '', 1)"
    ],
    "renderings of nothing": ["INSERT INTO renderings (delivery_id, options) VALUES (999, '')"],
    "attempts of nothing": [
        "INSERT INTO attempts (delivery_id, number, ended_at, result, reason) VALUES (999, 1, 1, 'rejected', '')"
    ],
    "delivery without a lane": ["DELETE FROM lanes WHERE id = (SELECT lane_id FROM deliveries WHERE id = {waiting})"],
    "ended delivery that holds its lane up": [
        "UPDATE deliveries SET state = 'dropped' WHERE id = {waiting}",
        "UPDATE notifications SET outcome = 'failed' WHERE outcome IS NULL",
    ],
    "pending delivery out of its lane": [
        "UPDATE deliveries SET in_lane = false WHERE id = {waiting}",
        "UPDATE lanes SET claimable_at = NULL WHERE id = (SELECT lane_id FROM deliveries WHERE id = {waiting})",
    ],
    "ended delivery that is being sent": ["UPDATE deliveries SET sending_at = 5 WHERE id = {ended}"],
    "doubt about a delivery that is not dead": ["UPDATE deliveries SET doubt = true WHERE id = {ended}"],
    "delivery whose end and state differ": ["UPDATE deliveries SET settled_at = NULL WHERE id = {ended}"],
    "fetched record that is not there": ["UPDATE notifications SET fetch_state = 'pinned' WHERE outcome IS NULL"],
    "spooled attachment of unknown size": [
        "INSERT INTO attachments (notification_id, webservice_id, blob_key, place, filename, file, state) "
        "SELECT notification_id, 'acme$$1', 'b1', 'photo', 'a.jpg', 'f1', 'spooled' FROM deliveries WHERE id = {ended}"
    ],
    "lane that is never claimed": [
        "UPDATE lanes SET claimable_at = NULL WHERE id = (SELECT lane_id FROM deliveries WHERE id = {waiting})"
    ],
    "lane that is due long after its head": [
        "UPDATE lanes SET claimable_at = 4611686018427387904 "
        "WHERE id = (SELECT lane_id FROM deliveries WHERE id = {waiting})"
    ],
    "empty lane that is due": [
        "UPDATE lanes SET claimable_at = 1 WHERE id = (SELECT lane_id FROM deliveries WHERE id = {ended})"
    ],
    "lane whose numbers do not rise": ["UPDATE lanes SET last_number = 1"],
    "one number twice in a lane": [
        "UPDATE deliveries SET lane_id = (SELECT lane_id FROM deliveries WHERE id = {waiting}), "
        "number = (SELECT number FROM deliveries WHERE id = {waiting}) WHERE id = {ended}"
    ],
    "outcome that is missing": ["UPDATE notifications SET outcome = NULL, report_due_at = NULL"],
    "outcome that is wrong": ["UPDATE notifications SET outcome = 'failed' WHERE outcome = 'completed'"],
    "report that is never due": ["UPDATE notifications SET report_due_at = NULL WHERE outcome IS NOT NULL"],
    "report that has ended and is due": [
        "UPDATE notifications SET report_due_at = 5, report_state = 'reported' WHERE outcome IS NOT NULL"
    ],
    "report without an outcome": ["UPDATE notifications SET report_due_at = 5 WHERE outcome IS NULL"],
}


async def site(store: Store) -> dict[str, int]:
    """Keep one notification whose delivery has ended and one whose delivery waits; returns the ids of those two."""
    kept = await store.submit(keep(take=True))
    await store.settle([delivered(held(kept))])
    waiting = await store.submit(keep(notification("n2", record="r2")))
    return {"ended": kept.deliveries[0].id, "waiting": waiting.deliveries[0].id}


async def by_hand(store: Store, *statements: str) -> None:
    """Write into the store as no gateway does."""

    def write() -> None:
        engine = store.database._writers  # type: ignore[attr-defined]
        with engine.connect() as connection:
            off = "SET session_replication_role = replica" if store.database.shared else "PRAGMA foreign_keys = OFF"
            on = "SET session_replication_role = DEFAULT" if store.database.shared else "PRAGMA foreign_keys = ON"
            raw = connection.connection.driver_connection
            raw.rollback()
            raw.execute(off)
            for statement in statements:
                raw.execute(statement)
            raw.execute(on)
            raw.commit()

    await asyncio.to_thread(write)


async def found(store: Store) -> list[Inconsistency]:
    return await store.read(inspect)


def test_each_kind_is_tried_here() -> None:
    assert {kind.name for kind in KINDS} == set(BY_HAND)


@pytest.mark.parametrize("name", BY_HAND)
async def test_what_is_wrong_is_found_told_and_mended(store: Store, name: str) -> None:
    ids = await site(store)
    await by_hand(store, *(statement.format(**ids) for statement in BY_HAND[name]))
    told = {one.name: one for one in await found(store)}
    assert name in told
    assert told[name].count >= 1
    assert told[name].means
    assert told[name].remedy
    assert not told[name].mended
    await store.write(mend)
    left = {one.name for one in await found(store)}
    assert left == ({name} if name in UNMENDABLE else set())


async def test_a_lane_that_was_never_claimed_is_claimed_after_the_mending(store: Store) -> None:
    ids = await site(store)
    await by_hand(store, BY_HAND["lane that is never claimed"][0].format(**ids))
    assert await store.claim(ALL) == []
    await store.write(mend)
    assert [due.id for due in await store.claim(ALL)] == [ids["waiting"]]


async def test_a_delivery_that_waits_and_has_an_end_goes_on_after_the_mending(store: Store) -> None:
    ids = await site(store)
    await by_hand(store, "UPDATE deliveries SET settled_at = 5 WHERE id = {waiting}".format(**ids))
    assert [one.name for one in await found(store)] == ["delivery whose end and state differ"]
    await store.write(mend)
    assert await found(store) == []
    assert [due.id for due in await store.claim(ALL)] == [ids["waiting"]]


async def test_a_delivery_that_was_out_of_its_lane_is_claimed_after_the_mending(store: Store) -> None:
    ids = await site(store)
    await by_hand(store, *(one.format(**ids) for one in BY_HAND["pending delivery out of its lane"]))
    assert await store.claim(ALL) == []
    await store.write(mend)
    assert [due.id for due in await store.claim(ALL)] == [ids["waiting"]]


async def test_a_strict_lane_that_a_dead_delivery_blocks_is_in_order(store: Store) -> None:
    kept = await store.submit(keep(take=True))
    one = dead(held(kept))
    one.blocks = True
    await store.settle([one])
    assert await found(store) == []


async def test_a_store_at_work_has_no_inconsistency(store: Store) -> None:
    async def works(number: int) -> None:
        kept = await store.submit(keep(notification(f"w{number}", record=f"r{number % 7}"), to=("table", "mail")))
        assert kept.deliveries
        for due in await store.claim(ALL):
            await store.settle([delivered(due) if due.id % 3 else dead(due)])

    working = [asyncio.create_task(works(number)) for number in range(120)]
    looks = 0
    while not all(task.done() for task in working):
        assert await found(store) == []
        looks += 1
    await asyncio.gather(*working)
    assert looks > 1
    states = await store.read(lambda c: c.execute(text("SELECT state, count(*) FROM deliveries GROUP BY state")).all())
    assert {DeliveryState(row[0]) for row in states} >= {DeliveryState.DELIVERED, DeliveryState.DEAD}
