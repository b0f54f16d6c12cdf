from __future__ import annotations

import asyncio
import random

import psycopg
import pytest
from sqlalchemy import Connection, func, select, text

from gateway.doforms.notification import MOST_BYTES
from gateway.models import Mode, Outcome, RecordKind
from gateway.store.engine.transaction_time import now
from gateway.store.store import Store
from gateway.store.tables import deliveries, lanes, notifications
from gateway.store.work import inbox, records
from tests.support.keeping import keep, notification

WIDE = [chr(0x20000 + number) for number in range(5000)]
"""Of four bytes each, and so many that no index can be kept small by compressing them."""
REFUSE = {
    "sqlite": "CREATE TRIGGER culprit BEFORE INSERT ON notifications WHEN NEW.notification_key = 'culprit' "
    "BEGIN SELECT RAISE(ABORT, 'refused'); END",
    "postgresql": "ALTER TABLE notifications ADD CHECK (notification_key != 'culprit')",
}


def _count(table: object) -> object:
    return lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()


async def test_a_notification_is_kept_with_its_deliveries(store: Store) -> None:
    kept = await store.submit(keep(to=("table", "mail")))
    assert not kept.repeat
    assert [delivery.new.destination for delivery in kept.deliveries] == ["table", "mail"]
    assert await store.read(_count(deliveries)) == 2


async def test_fifty_concurrent_repeats_are_kept_once(store: Store) -> None:
    kept = await asyncio.gather(*(store.submit(keep()) for _ in range(50)))
    assert sum(not one.repeat for one in kept) == 1
    assert len({one.id for one in kept}) == 1
    assert await store.read(_count(notifications)) == 1
    assert await store.read(_count(deliveries)) == 1


async def test_the_same_key_of_another_web_service_is_another_notification(store: Store) -> None:
    first = await store.submit(keep(notification()))
    second = await store.submit(keep(notification(webservice_id="other$$1$$Published$$2")))
    assert not second.repeat
    assert second.id != first.id


async def test_identifiers_of_the_greatest_length_are_kept_and_found_again(store: Store) -> None:
    longest = ["".join(random.Random(seed).choices(WIDE, k=MOST_BYTES // 4)) for seed in range(3)]
    of = notification(longest[0], record=longest[1], webservice_id=longest[2])
    kept = await store.submit(keep(of, account=longest[2]))
    again = await store.submit(keep(of, account=longest[2]))
    assert (again.repeat, again.id) == (True, kept.id)
    found = (await store.read(lambda c: records.load(c, [kept.id])))[kept.id]
    await store.write(lambda c: records.pin(c, found, {RecordKind.SUBMISSION: b"{}"}, {longest[1]: longest[0]}))
    assert await store.read(lambda c: records.last_pinned(c, longest[2], longest[1], kept.id + 1))


async def test_a_repeat_tells_the_outcome_when_it_is_known(store: Store) -> None:
    await store.submit(keep(outcome=Outcome.COMPLETED, to=()))
    repeat = await store.submit(keep())
    assert repeat.repeat
    assert repeat.outcome is Outcome.COMPLETED


async def test_in_a_group_with_one_that_cannot_be_stored_only_that_one_fails(store: Store) -> None:
    await store.write(lambda connection: connection.execute(text(REFUSE[connection.dialect.name])))
    keys = [f"n{number}" for number in range(40)]
    keys.insert(17, "culprit")
    results = await asyncio.gather(
        *(store.submit(keep(notification(key, record=key))) for key in keys), return_exceptions=True
    )
    failed = [key for key, result in zip(keys, results, strict=True) if isinstance(result, BaseException)]
    assert failed == ["culprit"]
    assert await store.read(_count(notifications)) == 40


async def test_a_cancelled_caller_withdraws_nothing(store: Store) -> None:
    future = store.submit(keep())
    future.cancel()
    await store.submit(keep(notification("n2")))
    assert await store.read(_count(notifications)) == 2


async def test_numbers_of_a_lane_rise_even_when_the_clock_stands(store: Store) -> None:
    kept = await asyncio.gather(*(store.submit(keep(notification(f"n{number}"))) for number in range(20)))
    numbers = [one.deliveries[0].number for one in kept]
    assert len(set(numbers)) == 20
    assert numbers == sorted(numbers)
    assert min(numbers) > 1_700_000_000_000_000


async def test_numbers_of_a_lane_rise_though_its_last_one_lies_in_the_future(store: Store) -> None:
    await store.submit(keep(notification("n1")))
    ahead = now() + 10**12

    def put_forward(connection: Connection) -> None:
        connection.execute(lanes.update().values(last_number=ahead))

    await store.write(put_forward)
    kept = await store.submit(keep(notification("n2")))
    assert kept.deliveries[0].number == ahead + 1


async def test_an_empty_lane_is_taken_with_the_keeping_and_an_occupied_one_is_not(store: Store) -> None:
    first = await store.submit(keep(notification("n1"), take=True))
    second = await store.submit(keep(notification("n2"), take=True))
    assert first.deliveries[0].token is not None
    assert second.deliveries[0].token is None


async def test_of_two_in_one_group_only_the_first_of_a_lane_is_taken(store: Store) -> None:
    first, second = await asyncio.gather(
        store.submit(keep(notification("n1"), take=True)), store.submit(keep(notification("n2"), take=True))
    )
    assert [bool(one.deliveries[0].token) for one in (first, second)] == [True, False]


async def test_an_immediate_notification_behind_an_occupied_lane_becomes_delayed(store: Store) -> None:
    await store.submit(keep(notification("n1")))
    kept = await store.submit(keep(notification("n2"), take=True, mode=Mode.IMMEDIATE))
    assert kept.mode is Mode.DELAYED
    assert "earlier delivery of the same record" in kept.reason


async def test_a_repeat_is_found_without_keeping_anything_new(store: Store) -> None:
    kept = await store.submit(keep())
    found = await store.write(lambda connection: inbox.find_repeat(connection, keep()))
    assert found is not None
    assert found.id == kept.id
    unknown = keep(notification("unknown"))
    assert await store.write(lambda connection: inbox.find_repeat(connection, unknown)) is None


async def test_text_that_the_database_refuses_fails_alone(store: Store) -> None:
    bad = store.submit(keep(notification("bad", status="\ud800")))
    good = store.submit(keep(notification("good")))
    results = await asyncio.gather(bad, good, return_exceptions=True)
    assert isinstance(results[0], UnicodeEncodeError | psycopg.DataError)
    assert not isinstance(results[1], BaseException)


@pytest.mark.parametrize("unmatched", ["no route matches form 'X'"])
async def test_an_unmatched_notification_raises_one_alarm(store: Store, unmatched: str) -> None:
    from gateway.store.work.alarms import list_alarms

    for key in ("n1", "n2"):
        await store.submit(keep(notification(key), to=(), matched=False, alarm=unmatched))
    raised = await store.read(list_alarms)
    assert [(alarm.kind, alarm.text) for alarm in raised] == [("unmatched", unmatched)]
