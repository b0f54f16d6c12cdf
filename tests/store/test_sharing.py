"""Two processes on one PostgreSQL store: what they do at the same time comes out as if one had come after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, make_url, select, update

from gateway.models import FetchState, Mode, Outcome
from gateway.store.engine import rates
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.store import Store
from gateway.store.tables import deliveries, lanes, notifications
from gateway.store.work import fetches, inbox, outbox, queue
from gateway.store.work.queue import Begin
from tests.store.test_queue import ALL, dead, delivered, settle
from tests.support.keeping import keep, notification
from tests.support.postgresql import Server


@pytest.fixture
def url(postgresql: Server) -> str:
    return postgresql.make_database()


@pytest.fixture
async def others(store: Store, url: str) -> AsyncIterator[Store]:
    """The store as another process has it."""
    opened = Store(url, lease=30.0)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def session(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A person with a database client."""
    plain = make_url(url).set(drivername="postgresql").render_as_string()
    with psycopg.connect(plain) as connection:
        yield connection


async def both(store: Store, others: Store, count: int) -> list[Any]:
    """Keep so many notifications of one record, by both processes at the same time."""
    items = [keep(notification(f"n{number}")) for number in range(count)]
    return await asyncio.gather(*((store, others)[number % 2].submit(item) for number, item in enumerate(items)))


async def test_the_same_notification_at_both_is_kept_once(store: Store, others: Store) -> None:
    kept = await asyncio.gather(*((store, others)[number % 2].submit(keep()) for number in range(50)))
    assert sum(not one.repeat for one in kept) == 1
    assert len({one.id for one in kept}) == 1


async def test_numbers_of_a_lane_are_given_once_and_rise_with_the_order_of_arrival(store: Store, others: Store) -> None:
    kept = await both(store, others, 40)
    numbers = [one.deliveries[0].number for one in kept]
    assert len(set(numbers)) == 40
    later = await others.submit(keep(notification("later")))
    assert later.deliveries[0].number > max(numbers)
    assert later.id > max(one.id for one in kept)


async def test_a_lane_that_both_find_empty_is_taken_by_one(store: Store, others: Store) -> None:
    kept = await asyncio.gather(
        store.submit(keep(notification("n1"), take=True)), others.submit(keep(notification("n2"), take=True))
    )
    assert sum(one.deliveries[0].token is not None for one in kept) == 1


async def test_lanes_are_claimed_by_one_of_them(store: Store, others: Store) -> None:
    for number in range(60):
        await store.submit(keep(notification(f"n{number}", record=f"r{number}")))
    claims = await asyncio.gather(*((store, others)[number % 2].claim({"table": 10}) for number in range(12)))
    taken = [due.lane_id for claimed in claims for due in claimed]
    assert len(taken) == len(set(taken)) == 60


async def test_a_lane_that_another_transaction_has_is_passed_over(store: Store, others: Store) -> None:
    await store.submit(keep(notification("n1", record="r1")))
    await store.submit(keep(notification("n2", record="r2")))
    with others.database.write() as connection:
        connection.execute(select(lanes).order_by(lanes.c.id).limit(1).with_for_update())
        (due,) = await store.claim(ALL)
    (other,) = await store.claim(ALL)
    assert due.lane_id != other.lane_id


async def test_of_the_last_two_deliveries_settled_at_once_one_brings_the_outcome(store: Store, others: Store) -> None:
    for number in range(20):
        await store.submit(keep(notification(f"n{number}", record=f"r{number}"), to=("table", "mail")))
        (first,) = await store.claim({"table": 1})
        (second,) = await others.claim({"mail": 1})
        ends = await asyncio.gather(settle(store, delivered(first)), settle(others, dead(second)))
        assert [one.outcome for one in ends if one.outcome is not None] == [Outcome.FAILED]


async def test_a_settlement_waits_for_who_settles_the_other_delivery_and_then_sees_it(
    store: Store, others: Store
) -> None:
    await store.submit(keep(to=("table", "mail")))
    (first,), (second,) = await store.claim({"table": 1}), await others.claim({"mail": 1})
    with others.database.write() as connection:
        queue.lock(connection, [delivered(second)])
        (end,) = queue.settle(connection, [delivered(second)], lease=30.0)
        assert end.outcome is None
        waiting = asyncio.create_task(settle(store, delivered(first)))
        await asyncio.sleep(0.3)
        assert not waiting.done()
    assert (await waiting).outcome is Outcome.COMPLETED


async def test_a_lost_lease_is_seen_by_whoever_waited_for_the_lane(store: Store, others: Store) -> None:
    await store.submit(keep())
    (due,) = await store.claim(ALL)
    with others.database.write() as connection:
        connection.execute(update(lanes).values(holder="somebody else"))
        waiting = [
            asyncio.create_task(store.settle([delivered(due)])),
            asyncio.create_task(store.begin([Begin(due=due, attempt_id=9)])),
        ]
        await asyncio.sleep(0.3)
    (settled,), began = await asyncio.gather(*waiting)
    assert (settled.accepted, began) == (False, [False])


async def test_leases_go_by_the_clock_of_the_database(
    store: Store, others: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.submit(keep(notification("n1"), take=True))
    rightly = store.now()
    for module in ("postgresql", "transaction_time"):  # this machine's clock is a century ahead
        monkeypatch.setattr(f"gateway.store.engine.{module}.now", lambda: now() + 100 * 365 * 86400 * SECOND)
    assert await others.claim(ALL) == []
    await others.submit(keep(notification("n2")))
    numbers = await store.read(lambda c: c.execute(select(deliveries.c.number)).scalars().all())
    assert max(numbers) < rightly + 60 * SECOND
    assert abs(others.now() - rightly) < 60 * SECOND


async def test_reports_are_claimed_by_one_of_them(store: Store, others: Store) -> None:
    for number in range(40):
        item = keep(
            notification(f"n{number}", record=f"r{number}"), to=(), outcome=Outcome.COMPLETED, mode=Mode.DELAYED
        )
        kept = await store.submit(item)
        await store.write(lambda c, id_=kept.id: inbox.mark_answered(c, id_, None))
    claims = await asyncio.gather(
        *(
            one.write(lambda c, one=one: outbox.claim_reports(c, most=10, token=one.token(), lease=30.0))
            for one in (store, others, store, others, store)
        )
    )
    ids = [report.notification_id for claimed in claims for report in claimed]
    assert len(ids) == len(set(ids)) == 40


async def test_a_fetch_is_claimed_by_one_and_lapses(store: Store, others: Store) -> None:
    kept = await store.submit(keep(fetch=True))

    async def claim(of: Store, lease: float = 30.0) -> float | None:
        return await of.write(lambda c: fetches.claim(c, kept.id, token=of.token(), lease=lease))

    assert await claim(store, lease=0.2) is not None
    assert await claim(others) is None
    await asyncio.sleep(0.3)
    assert await claim(others) is not None
    await store.write(
        lambda c: fetches.note_failed(
            c, kept.id, state=FetchState.DUE, reason="503", spent=0, due_at=store.now() + 60 * SECOND
        )
    )
    assert await claim(store) is None


async def test_a_rate_holds_over_both(store: Store, others: Store) -> None:
    async def draw(of: Store) -> int:
        granted, _ = await of.write(lambda c: rates.draw(c, "table", 8, per_second=5.0, burst=5.0))
        return granted

    assert sum(await asyncio.gather(draw(store), draw(others), draw(store), draw(others))) == 5
    await asyncio.sleep(0.5)
    assert 2 <= sum(await asyncio.gather(draw(store), draw(others))) <= 4


async def test_who_leaves_work_behind_wakes_the_other_and_not_itself(store: Store, others: Store) -> None:
    heard, here = asyncio.Event(), asyncio.Event()
    listening = [asyncio.create_task(one.keep_listening(event.set)) for one, event in ((others, heard), (store, here))]
    await asyncio.gather(heard.wait(), here.wait())  # once for each connection: something may have been missed
    heard.clear()
    here.clear()
    await store.submit(keep(notification("n1"), take=True))
    await asyncio.sleep(0.2)
    assert not heard.is_set()
    await store.submit(keep(notification("n2", record="r2")))
    async with asyncio.timeout(1):
        await heard.wait()
    assert not here.is_set()
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)


async def test_starting_leaves_the_leases_of_the_others(store: Store, others: Store, url: str) -> None:
    await store.submit(keep(take=True))
    third = Store(url)
    await third.open()
    assert await third.claim(ALL) == []
    await third.close()


async def test_notes_share_a_transaction_and_other_steps_have_one_each(store: Store, others: Store) -> None:
    def transaction(connection: Connection) -> int:
        return int(connection.exec_driver_sql("SELECT txid_current()").scalar_one())

    ids = [one.id for one in await both(store, others, 4)]
    notes = await asyncio.gather(*(store.note(id_, transaction) for id_ in ids))
    steps = await asyncio.gather(*(store.write(transaction) for _ in ids))
    assert (len(set(notes)), len(set(steps))) == (1, 4)


async def test_notes_on_the_same_notifications_in_any_order_do_not_cross(store: Store, others: Store) -> None:
    ids = [one.id for one in await both(store, others, 20)]

    def note(of: Store, id_: int) -> Awaitable[None]:
        row = notifications.c.id == id_
        count = update(notifications).where(row).values(fetch_attempts=notifications.c.fetch_attempts + 1)

        def step(connection: Connection) -> None:
            connection.execute(count)
            time.sleep(0.001)  # the other one has locked something meanwhile

        return of.note(id_, step)

    for _ in range(5):
        await asyncio.gather(*(note(store, id_) for id_ in ids), *(note(others, id_) for id_ in reversed(ids)))
    attempts = await store.read(lambda c: c.execute(select(notifications.c.fetch_attempts)).scalars().all())
    assert set(attempts) == {10}
    crossed = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await store.read(lambda c: c.exec_driver_sql(crossed).scalar_one()) == 0
