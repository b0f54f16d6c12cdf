"""What ended long ago is deleted; what has not ended stays; a repeat is still answered."""

from __future__ import annotations

import asyncio

from sqlalchemy import func, select, text, update

from gateway.models import Outcome
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.operator import retention
from gateway.store.operator.actions import Actor
from gateway.store.operator.queries import find_notifications
from gateway.store.operator.replay import Replay, replay
from gateway.store.operator.retention import BATCH, TOMBSTONE, Pruned
from gateway.store.operator.views import NotificationFilter
from gateway.store.store import Store
from gateway.store.tables import attempts, deliveries, lanes, notifications, records, renderings
from gateway.store.work import inbox
from tests.store.test_indexes import FULL, LARGE, explain, statements  # noqa: F401 (a fixture)
from tests.store.test_queue import ALL, dead, delivered
from tests.store.test_reports import held
from tests.support.keeping import keep, notification

DAY = 86400
LATER = 100 * DAY


async def prune(store: Store, *, later: int = LATER, older_than: float = 90 * DAY) -> Pruned:
    """Prune as if so many seconds had passed."""
    moment, done, after = now() + later * SECOND, Pruned(), 0
    counted = await store.read(lambda c: retention.count(c, moment=moment, older_than=older_than))
    going: int | None = after
    while going is not None:
        start = going
        batch, going = await store.write(
            lambda c, start=start: retention.prune(c, after=start, moment=moment, older_than=older_than)  # type: ignore[misc]
        )
        done += batch
    assert done == counted
    return done


async def ended(store: Store, key: str = "n1", *, report: bool = False) -> int:
    kept = await store.submit(keep(notification(key, record=key), take=True, report=report))
    await store.settle([delivered(held(kept))])
    return kept.id


async def rows(store: Store, table: object) -> int:
    return await store.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]


async def test_what_ended_long_ago_goes_with_all_that_belongs_to_it(store: Store) -> None:
    kept = await store.submit(keep(take=True, report=False))
    await store.settle([dead(held(kept))])
    assert await prune(store) == Pruned(notifications=1)
    assert [await rows(store, table) for table in (deliveries, records, renderings, attempts)] == [0, 0, 0, 0]
    assert await store.read(lambda c: find_notifications(c, NotificationFilter())) == []


async def test_what_is_younger_than_retention_stays(store: Store) -> None:
    await ended(store)
    assert await prune(store, later=80 * DAY) == Pruned()
    assert await rows(store, deliveries) == 1


async def test_a_pending_delivery_keeps_its_notification_however_old(store: Store) -> None:
    await store.submit(keep(report=False))
    assert await prune(store) == Pruned()


async def test_a_pending_delivery_that_does_not_count_keeps_it_too(store: Store) -> None:
    await ended(store)
    await store.write(
        lambda c: c.execute(update(deliveries).values(state="pending", in_lane=True, required=False, settled_at=None))
    )
    assert await prune(store) == Pruned()


async def test_a_report_that_is_due_keeps_it(store: Store) -> None:
    await ended(store, report=True)
    assert await prune(store) == Pruned()


async def test_a_dead_delivery_that_blocks_a_strict_lane_keeps_it(store: Store) -> None:
    await ended(store)
    await store.write(lambda c: c.execute(update(deliveries).values(state="dead", in_lane=True)))
    assert await prune(store) == Pruned()


async def test_a_fetch_that_is_due_keeps_it_only_while_a_delivery_waits_for_the_record(store: Store) -> None:
    await store.submit(keep(notification("waits", record="waits"), fetch=True, report=False))
    await ended(store)
    await store.write(lambda c: c.execute(update(notifications).values(fetch_state="due")))
    assert await prune(store) == Pruned(notifications=1)
    assert await rows(store, deliveries) == 1


async def test_an_unmatched_one_goes_and_is_no_alarms_cause_any_more(store: Store) -> None:
    await store.submit(keep(to=(), matched=False, report=False))
    assert await prune(store) == Pruned(notifications=1)
    assert await store.read(lambda c: c.execute(select(notifications.c.matched)).scalar_one()) is True


async def test_a_repeat_of_what_was_deleted_is_answered_with_the_outcome_and_runs_nothing(store: Store) -> None:
    id_ = await ended(store)
    await prune(store, later=2 * DAY, older_than=DAY)
    repeat = await store.submit(keep(notification("n1", record="n1"), take=True))
    assert (repeat.id, repeat.repeat, repeat.outcome, repeat.deliveries) == (id_, True, Outcome.COMPLETED, ())
    full = await store.write(lambda c: inbox.find_repeat(c, keep(notification("n1", record="n1"))))
    assert full is not None
    assert full.outcome is Outcome.COMPLETED
    assert await store.claim(ALL) == []


async def test_a_tombstone_stays_for_thirty_days_from_the_deletion_however_short_the_retention(store: Store) -> None:
    await ended(store)
    await prune(store, later=2 * DAY, older_than=DAY)
    assert await prune(store, later=31 * DAY, older_than=DAY) == Pruned()
    assert TOMBSTONE == 30 * DAY
    assert await prune(store, later=33 * DAY, older_than=DAY) == Pruned(tombstones=1)
    assert await rows(store, notifications) == 0


async def test_numbers_of_a_lane_go_on_rising_after_its_deliveries_were_deleted(store: Store) -> None:
    await ended(store)
    last = await store.read(lambda c: c.execute(select(lanes.c.last_number)).scalar_one())
    await prune(store)
    kept = await store.submit(keep(notification("n2", record="n1")))
    assert kept.deliveries[0].number > last


async def test_more_than_one_batch_is_walked_through_past_what_stays(store: Store) -> None:
    for start in range(BATCH + 5):
        await ended(store, f"n{start}") if start % 50 == 49 else None
        await store.submit(keep(notification(f"k{start}", record=f"k{start}"), report=False))
    assert (await prune(store)).notifications == (BATCH + 5) // 50


async def test_a_walk_ends_where_everything_is_young_and_never_scans_the_rest(store: Store) -> None:
    for number in range(BATCH + 5):
        await store.submit(keep(notification(f"k{number}", record=f"k{number}"), report=False))
    _, onwards = await store.write(lambda c: retention.prune(c, after=0, moment=now(), older_than=DAY))
    assert onwards is None


async def test_a_batch_finds_its_rows_by_an_index(store: Store, statements: set[str]) -> None:  # noqa: F811
    if store.database.shared:  # it plans by how full its tables are
        await store.write(lambda connection: connection.execute(text(FULL)))
    await ended(store)
    statements.clear()
    await store.write(lambda c: retention.prune(c, after=0, moment=now() + LATER * SECOND, older_than=90 * DAY))
    done = [one for one in statements if one.startswith(("SELECT notifications.id", "DELETE", "UPDATE"))]
    assert len(done) >= 3
    with store.database.write() as connection:
        large = LARGE[connection.dialect.name]
        plans = [step for statement in done for step in explain(connection, statement)]
    assert [step for step in plans if large.match(step)] == []


async def test_what_is_replayed_while_a_batch_waits_for_it_is_not_deleted(store: Store) -> None:
    kept = await store.submit(keep(take=True, report=False))
    await store.settle([dead(held(kept))])
    [delivery] = kept.deliveries
    moment = now() + LATER * SECOND
    waiting: asyncio.Future[tuple[Pruned, int | None]] | None = None
    with store.database.write() as connection:
        replay(connection, [delivery.id], Replay(by=Actor(who="a test"), render=True))
        if store.database.shared:
            waiting = asyncio.ensure_future(
                store.write(lambda c: retention.prune(c, after=0, moment=moment, older_than=90 * DAY))
            )
            await asyncio.sleep(0.5)
    assert waiting is None or await waiting == (Pruned(), None)
    assert await prune(store) == Pruned()
    assert [due.id for due in await store.claim(ALL)] == [delivery.id]
