"""Lanes that nobody needs go; those that are needed stay; numbers go on rising."""

from __future__ import annotations

from sqlalchemy import func, select, text

from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.operator import retention
from gateway.store.operator.lane_cleanup import BATCH, prune_lanes
from gateway.store.store import Store
from gateway.store.tables import lanes
from tests.store.test_indexes import FULL, LARGE, explain, statements  # noqa: F401 (a fixture)
from tests.store.test_queue import ALL, dead, delivered
from tests.store.test_reports import held
from tests.support.keeping import keep, notification

DAY = 86400 * SECOND
LATER = 100 * DAY


async def prune(store: Store, *, later: int = LATER, notifications: bool = True) -> int:
    """Prune as if so much time had passed; returns how many lanes went."""
    moment = now() + later
    if notifications:
        await store.write(lambda c: retention.prune(c, after=0, moment=moment, older_than=90 * 86400.0))
    deleted, after = 0, None
    while True:
        start = after or 0
        one, after = await store.write(lambda c, s=start: prune_lanes(c, after=s, before=moment - 90 * DAY))  # type: ignore[misc]
        deleted += one
        if after is None:
            return deleted


async def ended(store: Store, key: str) -> int:
    """Keep and deliver a notification of a record of its own; returns its lane's number."""
    kept = await store.submit(keep(notification(key, record=key), take=True, report=False))
    await store.settle([delivered(held(kept))])
    return kept.deliveries[0].number


async def count(store: Store) -> int:
    return await store.read(lambda c: c.execute(select(func.count()).select_from(lanes)).scalar_one())


async def test_a_lane_goes_when_its_deliveries_have_been_deleted_and_its_numbers_rise_on(store: Store) -> None:
    number = await ended(store, "n1")
    assert (await prune(store), await count(store)) == (1, 0)
    kept = await store.submit(keep(notification("n2", record="n1")))
    assert kept.deliveries[0].number > number


async def test_a_lane_that_was_used_since_stays(store: Store) -> None:
    await ended(store, "n1")
    assert await prune(store, later=90 * DAY) == 0


async def test_a_lane_whose_ended_deliveries_are_still_there_stays_so_that_they_can_be_replayed(store: Store) -> None:
    kept = await store.submit(keep(take=True, report=False))
    await store.settle([dead(held(kept))])
    assert await prune(store, notifications=False) == 0


async def test_a_lane_in_which_something_waits_stays_and_so_does_all_that_was_used_since_it_came(store: Store) -> None:
    await store.submit(keep(notification("waits", record="waits"), report=False))
    await ended(store, "n1")
    assert await prune(store) == 0
    assert [due.number for due in await store.claim(ALL)] != []


async def test_a_lane_whose_last_number_is_ahead_of_time_stays(store: Store) -> None:
    await ended(store, "n1")
    await store.write(lambda c: c.execute(lanes.update().values(last_number=now() + LATER)))
    assert await prune(store) == 0


async def test_more_lanes_than_a_batch_are_walked_through(store: Store) -> None:
    values = [
        {"key": f"old {number}", "destination": "table", "last_number": number, "used_at": number, "claimable_at": None}
        for number in range(BATCH + 5)
    ]
    await store.write(lambda c: c.execute(lanes.insert(), values))
    assert (await prune(store), await count(store)) == (BATCH + 5, 0)


async def test_a_batch_of_lanes_goes_through_no_large_table(store: Store, statements: set[str]) -> None:  # noqa: F811
    if store.database.shared:  # it plans by how full its tables are
        await store.write(lambda connection: connection.execute(text(FULL)))
    await ended(store, "n1")
    await store.write(lambda c: retention.prune(c, after=0, moment=now() + LATER, older_than=0.0))
    statements.clear()
    await store.write(lambda c: prune_lanes(c, after=0, before=now() + LATER))
    done = [one for one in statements if one.startswith(("SELECT", "DELETE")) and " FROM " in one]
    with store.database.write() as connection:
        plans = [step for one in done if "clock_timestamp" not in one for step in explain(connection, one)]
        large = LARGE[connection.dialect.name]
    assert [step for step in plans if large.match(step)] == []
