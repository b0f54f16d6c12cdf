"""What the store makes of a process that died: what it held is known, counted, and tried one at a time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from gateway.models import DeliveryState, Outcome, ReportState
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.store import Store
from gateway.store.tables import deliveries, lanes, notifications
from gateway.store.tables import reconciled as rounds
from gateway.store.work import lane_leases, outbox, watermarks
from gateway.store.work.outbox import Report
from gateway.store.work.queue import SUSPECT, Begin, Due, Settlement
from tests.store.test_queue import ALL, delivered, lapse, settle
from tests.support.keeping import keep, notification


def cut_short(due: Due, *, due_at: int = 0) -> Settlement:
    return Settlement(due=due, attempt_id=None, state=DeliveryState.PENDING, due_at=due_at, cut_short=True)


def put_off(due: Due) -> Settlement:
    return Settlement(due=due, attempt_id=None, state=DeliveryState.PENDING, due_at=0)


async def columns(store: Store, *names: str) -> Any:
    wanted = [deliveries.c[name] for name in names]
    return await store.read(lambda c: [tuple(row) for row in c.execute(select(*wanted).order_by(deliveries.c.id))])


async def die(store: Store, times: int = 1) -> None:
    """Let a process that claimed everything die so many times, each counted."""
    for _ in range(times):
        await store.claim(ALL)
        await lapse(store)
        await store.settle([cut_short(due) for due in await store.claim(ALL)])


async def make_due(store: Store) -> None:
    await store.write(lambda c: c.execute(update(lanes).where(lanes.c.holder.is_(None)).values(claimable_at=now() - 1)))


async def test_lease_that_lapsed_is_told_with_the_claim(store: Store) -> None:
    await store.submit(keep())
    (first,) = await store.claim(ALL)
    assert (first.left_by, first.deaths, first.alone) == (None, 0, False)
    await lapse(store)
    (again,) = await store.claim(ALL)
    assert again.left_by == first.token
    await lapse(store)
    (once_more,) = await store.claim(ALL)
    assert once_more.left_by == again.token, "nobody has counted it yet"


async def test_lease_that_a_start_voids_is_told_with_the_claim(store: Store) -> None:
    await store.submit(keep())
    (first,) = await store.claim(ALL)
    assert await store.write(lane_leases.void_leases) == 1
    (again,) = await store.claim(ALL)
    assert again.left_by == first.token


async def test_lane_that_was_handed_back_or_settled_was_not_left(store: Store) -> None:
    await store.submit(keep())
    await store.release(await store.claim(ALL))
    (due,) = await store.claim(ALL)
    await settle(store, put_off(due))
    (again,) = await store.claim(ALL)
    assert (due.left_by, again.left_by) == (None, None)


async def test_lane_that_was_taken_with_the_keeping_is_left_too(store: Store) -> None:
    await store.submit(keep(take=True))
    await lapse(store)
    (due,) = await store.claim(ALL)
    assert due.left_by is not None


async def test_deaths_are_counted_once_each_and_kept_while_nothing_was_tried(store: Store) -> None:
    await store.submit(keep())
    await die(store)
    assert await columns(store, "deaths") == [(1,)]
    (due,) = await store.claim(ALL)
    assert due.deaths == 1
    await settle(store, put_off(due))
    assert await columns(store, "deaths") == [(1,)]


async def test_end_of_a_try_clears_deaths_and_the_mark(store: Store) -> None:
    await store.submit(keep())
    await die(store, SUSPECT)
    (due,) = await store.claim(ALL)
    assert due.alone
    await store.begin([Begin(due=due, attempt_id=5)])
    again = Settlement(due=due, attempt_id=5, state=DeliveryState.PENDING, due_at=0, result="unavailable")
    assert (await settle(store, again)).accepted
    assert await columns(store, "deaths", "alone_at", "attempts") == [(0, None, 1)]


async def test_attempt_that_was_cut_short_stays_in_doubt_until_its_end_is_told(store: Store) -> None:
    await store.submit(keep())
    (due,) = await store.claim(ALL)
    await store.begin([Begin(due=due, attempt_id=5)])
    await lapse(store)
    (left,) = await store.claim(ALL)
    assert left.in_doubt
    await settle(store, cut_short(left))
    (again,) = await store.claim(ALL)
    assert again.in_doubt, "its route may not have been loaded: nobody knows yet whether it may be repeated"
    told = Settlement(
        due=again, attempt_id=None, state=DeliveryState.PENDING, due_at=0, result="uncertain", cut_short=True
    )
    await settle(store, told)
    assert await columns(store, "sending_at", "deaths", "attempts") == [(None, 2, 1)]


async def test_suspects_are_claimed_one_at_a_time_and_marked(store: Store) -> None:
    for number in range(3):
        await store.submit(keep(notification(f"n{number}", record=f"r{number}")))
    await die(store, SUSPECT)
    await store.submit(keep(notification("fresh", record="fresh")))
    before = now()
    claimed = await store.claim(ALL)
    assert sorted(due.alone for due in claimed) == [False, True], "the one that is fresh, and one suspect"
    (alone,) = [due for due in claimed if due.alone]
    marks = dict(await columns(store, "id", "alone_at"))
    assert [id_ for id_, at in marks.items() if at is not None] == [alone.id]
    waiting = await store.read(lambda c: list(c.execute(select(lanes.c.claimable_at).where(lanes.c.holder.is_(None)))))
    assert all(before < at <= now() + SECOND for (at,) in waiting), "the others have their turn soon"


async def test_no_suspect_is_claimed_while_another_one_is_tried(store: Store) -> None:
    for number in range(2):
        await store.submit(keep(notification(f"n{number}", record=f"r{number}")))
    await die(store, SUSPECT)
    assert await store.claim(ALL, alone=False) == []
    await make_due(store)
    assert len(await store.claim(ALL, alone=True)) == 1


async def test_suspect_is_not_handed_on_under_the_lease_of_the_one_before(store: Store) -> None:
    await store.submit(keep(notification("n1")))
    await store.submit(keep(notification("n2")))
    await store.write(lambda c: c.execute(update(deliveries).where(deliveries.c.number > 0).values(deaths=SUSPECT)))
    (due,) = await store.claim(ALL)
    assert (await settle(store, delivered(due, None))).next is None
    await make_due(store)
    (following,) = await store.claim(ALL)
    assert following.alone


async def test_death_of_the_one_that_was_alone_is_told_apart_from_others(store: Store) -> None:
    for number in range(2):
        await store.submit(keep(notification(f"n{number}", record=f"r{number}")))
    await die(store, SUSPECT)
    (alone,) = await store.claim(ALL)
    await make_due(store)
    await lapse(store)
    await store.submit(keep(notification("fresh", record="fresh")))
    claimed = await store.claim(ALL)
    assert {due.id for due in claimed if due.alone and due.left_by} == {alone.id}
    assert {due.alone for due in claimed if due.left_by is None} == {True, False}


async def told_outcome(store: Store, key: str) -> None:
    kept = await store.submit(keep(notification(key, record=key)))
    for due in await store.claim(ALL):
        if due.notification_id == kept.id:
            await settle(store, delivered(due, None))
    await store.write(
        lambda c: c.execute(
            update(notifications).where(notifications.c.id == kept.id).values(report_due_at=0, answer_open=False)
        )
    )


async def reports(store: Store, *, alone: bool = True) -> list[Report]:
    token = store.token()
    return await store.write(lambda c: outbox.claim_reports(c, most=10, token=token, lease=60.0, alone=alone))


async def test_reports_of_a_dead_process_are_counted_and_told_one_at_a_time(store: Store) -> None:
    for key in ("a", "b"):
        await told_outcome(store, key)
    for deaths in range(SUSPECT):
        assert [report.deaths for report in await reports(store)] == [deaths, deaths]
        await store.write(outbox.void_leases)
        left = await reports(store)
        assert all(report.left for report in left)
        for one in left:
            await store.write(
                lambda c, one=one: outbox.settle_report(
                    c, one, state=ReportState.DUE, due_at=0, counted=False, cut_short=True
                )
            )
    (alone,) = await reports(store)
    assert (alone.alone, alone.left, alone.outcome) == (True, False, Outcome.COMPLETED)
    await store.write(lambda c: outbox.settle_report(c, alone, state=ReportState.REPORTED))
    row = await store.read(
        lambda c: c.execute(select(notifications).where(notifications.c.id == alone.notification_id)).one()
    )
    assert (row.report_deaths, row.report_alone) == (0, False)


async def test_death_amid_a_round_is_counted_once_and_the_next_waits(store: Store) -> None:
    def take(token: str, **more: Any) -> Any:
        return store.write(lambda c: watermarks.take(c, "a", token=token, lease=60.0, **more))

    assert await take("first", before=now()) is not None
    assert not (await store.read(watermarks.marks))["a"].left
    await store.write(lambda c: c.execute(update(rounds).values(lease_until=now() - 1)))
    assert (await store.read(watermarks.marks))["a"].left
    waits: list[int] = []

    def wait(deaths: int) -> float:
        waits.append(deaths)
        return 60.0

    assert await store.write(lambda c: watermarks.note_death(c, "a", wait)) == 1
    assert await store.write(lambda c: watermarks.note_death(c, "a", wait)) is None
    assert waits == [1]
    assert await take("second", before=now()) is None, "it waits"
    assert await take("by order", before=None) is not None
    await store.write(lambda c: watermarks.let_go(c, "a", token="by order", ended=False))
    row = await store.read(lambda c: c.execute(select(rounds)).one())
    assert (row.deaths, row.not_before) == (0, None), "a round that ended in any way clears it"
