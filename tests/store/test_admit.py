"""Records that doForms lists: let in once, whoever is first, and their late notifications do no work."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, func, select, update

from gateway.models import Event, Mode, Outcome, ReportState
from gateway.store.engine.connect import open_database
from gateway.store.engine.transaction_time import now
from gateway.store.operator import retention
from gateway.store.operator.queries import find_notifications, show_notification
from gateway.store.operator.views import NotificationFilter
from gateway.store.store import Store
from gateway.store.tables import backfilled, deliveries, late_creates, notifications
from gateway.store.work import admit
from gateway.store.work import late_creates as late
from gateway.store.work.inbox import Keep, Kept
from gateway.store.work.queue import Begin
from tests.store.test_queue import ALL, dead, delivered
from tests.support.keeping import keep, notification


def backfilling(record: str = "r1", **more: Any) -> Keep:
    """Return what is kept of a record that doForms lists."""
    return keep(notification(f"backfill:{record}", record=record), report=False, **more)


async def count(store: Store, table: Any) -> int:
    return await store.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())


async def row(store: Store, id_: int) -> Any:
    return await store.read(lambda c: c.execute(select(notifications).where(notifications.c.id == id_)).one()._asdict())


async def settle(store: Store, *, well: bool = True) -> None:
    """Attempt what is due, with this end."""
    for due in await store.claim(ALL):
        await store.begin([Begin(due=due, attempt_id=1, rendered=b"{}")])
        await store.settle([delivered(due) if well else dead(due)])


async def test_an_unknown_record_is_let_in_once_with_its_deliveries_and_nothing_to_report(store: Store) -> None:
    first = await store.let_in([backfilling("r1"), backfilling("r2")])
    second = await store.let_in([backfilling("r1"), backfilling("r2"), backfilling("r3")])
    assert [item.notification.record_key for item in first] == ["r1", "r2"]
    assert [item.notification.record_key for item in second] == ["r3"]
    assert await count(store, notifications) == await count(store, deliveries) == await count(store, backfilled) == 3
    states = await store.read(lambda c: set(c.execute(select(notifications.c.report_state)).scalars()))
    assert states == {ReportState.NONE.value}


async def test_a_record_that_any_notification_speaks_of_is_known_even_by_its_tombstone(store: Store) -> None:
    for event in Event:
        await store.submit(keep(notification(event.value, record=event.value, event=event), to=()))
    await store.submit(keep(notification("old", record="old"), to=(), outcome=Outcome.COMPLETED, report=False))

    def bury(connection: Connection) -> None:
        connection.execute(update(notifications).values(answer_open=False, report_due_at=None))
        retention.prune(connection, after=0, moment=now() + 10**12, older_than=1.0)

    await store.write(bury)
    assert await store.let_in([backfilling(key) for key in [*(event.value for event in Event), "old"]]) == []


async def test_the_same_record_of_another_account_is_another_record(store: Store) -> None:
    await store.submit(keep(notification("n1", record="r1")))
    assert len(await store.let_in([replace(backfilling("r1"), account="globex")])) == 1


async def test_a_backfilled_record_without_deliveries_that_count_is_completed_at_once(store: Store) -> None:
    await store.let_in([backfilling(to=())])
    found = await row(store, 1)
    assert (found["outcome"], found["answer_open"], found["report_due_at"]) == ("completed", False, None)


async def test_a_create_that_comes_later_does_no_work_and_is_answered_with_the_outcome(store: Store) -> None:
    await store.let_in([backfilling()])
    await settle(store)
    kept = await store.submit(keep(notification("n1"), mode=Mode.IMMEDIATE, take=True, fetch=True))
    assert (kept.outcome, kept.mode, kept.deliveries, kept.repeat) == (Outcome.COMPLETED, Mode.DELAYED, (), False)
    assert kept.reason.startswith("known since 20")
    assert kept.reason.endswith("UTC: backfilled as backfill:r1")
    found = await row(store, kept.id)
    assert (found["fetch_state"], found["matched"], found["report_state"]) == ("none", True, "open")
    assert await count(store, deliveries) == 1
    assert await count(store, late_creates) == 0
    assert (await store.submit(keep(notification("n1")))).outcome is Outcome.COMPLETED


async def test_an_outcome_that_is_not_known_yet_follows_and_is_reported(store: Store) -> None:
    await store.let_in([backfilling()])
    kept = await store.submit(keep(notification("n1"), mode=Mode.IMMEDIATE))
    assert (kept.outcome, kept.deliveries) == (None, ())
    assert await store.write(late.follow) == 0
    await settle(store, well=False)
    assert await store.write(late.follow) == 1
    found = await row(store, kept.id)
    assert (found["outcome"], found["report_state"]) == ("failed", "open")
    assert found["report_due_at"] <= now()
    assert await store.write(late.follow) == 0

    def replayed(connection: Connection) -> None:
        connection.execute(update(notifications).where(notifications.c.id == 1).values(outcome="completed"))
        connection.execute(update(notifications).where(notifications.c.id == kept.id).values(report_state="reported"))

    await store.write(replayed)
    assert await store.write(late.follow) == 1
    found = await row(store, kept.id)
    assert (found["outcome"], found["report_state"], found["put_owed"]) == ("completed", "open", True)
    assert await count(store, late_creates) == 0


async def test_only_a_create_of_the_same_account_is_late(store: Store) -> None:
    await store.let_in([backfilling()])
    edited = await store.submit(keep(notification("n1", event=Event.UPDATE)))
    other = await store.submit(replace(keep(notification("n2")), account="globex"))
    unknown = await store.submit(keep(notification("n3", record=None)))
    assert [len(one.deliveries) for one in (edited, other, unknown)] == [1, 1, 1]


async def test_an_unmatched_create_of_a_backfilled_record_is_late_too_and_raises_no_alarm(store: Store) -> None:
    await store.let_in([backfilling(to=())])
    kept = await store.submit(keep(notification("n1"), to=(), matched=False, alarm="no route"))
    assert kept.outcome is Outcome.COMPLETED
    assert (await row(store, kept.id))["matched"]


async def test_a_gateway_notices_what_a_command_beside_it_has_let_in(store: Store, url: str) -> None:
    await store.submit(keep(notification("n0", record="r0")))
    beside = Store(url)
    await beside.open(beside=True)
    await beside.let_in([backfilling()])
    await beside.close()
    kept = await store.submit(keep(notification("n1")))
    assert (kept.outcome, kept.deliveries) == (None, ())


async def test_whichever_comes_first_a_record_is_worked_on_once(store: Store, url: str) -> None:
    beside = Store(url)
    await beside.open(beside=True)
    keys = [f"r{number}" for number in range(60)]
    creates = [store.submit(keep(notification(f"n-{key}", record=key))) for key in keys]
    lists = [beside.let_in([backfilling(key) for key in keys[start::6]]) for start in range(6)]
    lists += [store.let_in([backfilling(key) for key in keys[start::6]]) for start in range(6)]
    kept: list[Kept] = list(await asyncio.gather(*creates))
    let_in = {str(item.notification.record_key) for group in await asyncio.gather(*lists) for item in group}
    await beside.close()
    worked = {key for key, one in zip(keys, kept, strict=True) if one.deliveries}
    assert worked | let_in == set(keys)
    assert worked & let_in == set()
    assert await count(store, deliveries) == 60


async def test_letting_in_gives_way_where_keeping_does_not_end(store: Store, url: str) -> None:
    if not store.database.shared:
        return  # a file has one writer at a time
    await store.let_in([backfilling("r0")])
    other = open_database(url)
    with other.write() as connection:
        late.keep(connection, [keep()], ids=other.ids, token="t", lease=1.0)
        letting_in = asyncio.create_task(store.let_in([backfilling()]))
        await asyncio.sleep(0.3)
        assert not letting_in.done()
    assert await letting_in == []
    other.close()


async def test_a_person_can_tell_what_was_backfilled_from_what_came(store: Store) -> None:
    await store.let_in([backfilling()])
    late_one = await store.submit(keep(notification("n1")))
    for kind, expected in (("backfill", ["backfill:r1"]), ("notification", ["n1"]), (None, ["n1", "backfill:r1"])):
        wanted = NotificationFilter(kind=kind)
        found = await store.read(lambda c, wanted=wanted: find_notifications(c, wanted))
        assert [one.key for one in found] == expected
        assert all(one.kind == kind for one in found if kind)
    shown = await store.read(lambda c: show_notification(c, late_one.id))
    assert shown is not None
    assert (shown.kind, "backfilled as backfill:r1" in shown.mode_reason) == ("notification", True)


async def test_what_is_known_is_asked_of_one_account(store: Store) -> None:
    await store.submit(keep(notification("n1", record="r1")))
    await store.let_in([backfilling("r2")])
    assert await store.read(lambda c: admit.known(c, "acme", ["r1", "r2", "r3"])) == {"r1", "r2"}
    assert await store.read(lambda c: admit.known(c, "globex", ["r1", "r2"])) == set()
