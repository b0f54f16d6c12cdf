"""Leaps of the store's clock: what waits is put right, once, whoever notices, and nothing is deleted by it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select, update

from gateway.models import DeliveryState, FetchState
from gateway.pauses import Cause, Kind
from gateway.store.engine import rates
from gateway.store.engine.transaction_time import SECOND, Reading, ask, micros
from gateway.store.operator import pauses
from gateway.store.operator.pauses import Pause
from gateway.store.store import Store
from gateway.store.tables import alarms as alarm_rows
from gateway.store.tables import call_slots as slot_rows
from gateway.store.tables import clock, deliveries, lanes, notifications
from gateway.store.tables import pauses as pause_rows
from gateway.store.tables import rates as rate_rows
from gateway.store.tables import reconciled as mark_rows
from gateway.store.work import alarms, call_slots, fetches, leaps, watermarks
from gateway.store.work.leaps import Longest, Noted
from gateway.store.work.queue import Settlement
from tests.store.test_queue import ALL, settle
from tests.support.keeping import WEBSERVICE, keep, notification

LONGEST = Longest(delivery={"table": 2.0}, fetch=2.0, report=2.0, attachment=2.0, put_off=900.0, lease=30.0)
HOUR, DAY = 3600 * SECOND, 86400 * SECOND
LEAPS = [-30 * DAY, -HOUR, -60 * SECOND]


async def note(store: Store, *, by: int | None = 0, knows: int | None = None, longest: Longest = LONGEST) -> Noted:
    return await store.write(lambda c: leaps.note(c, longest, by=by, knows=knows))


async def moment(store: Store) -> int:
    return await store.write(lambda c: ask(c)[1])


async def waiting(store: Store, seconds: float) -> None:
    """Leave a delivery that is tried again in so many seconds, by the clock as it is."""
    await store.submit(keep(notification("n1")))
    (due,) = await store.claim(ALL)
    again = Settlement(
        due=due, attempt_id=None, state=DeliveryState.PENDING, due_at=await moment(store) + micros(seconds)
    )
    assert (await settle(store, again)).accepted


async def shift(store: Store, by: int) -> None:
    """Make the store as it would be, had its clock shown so much more until now."""

    def later(connection: Connection) -> None:
        for table, *names in (
            (lanes, "claimable_at", "used_at"),
            (deliveries, "due_at"),
            (notifications, "received_at", "report_due_at", "fetch_due_at"),
            (pause_rows, "since", "until"),
            (rate_rows, "used_until"),
            (slot_rows, "until"),
            (mark_rows, "until", "round_at", "lease_until"),
            (alarm_rows, "raised_at", "last_at"),
            (clock, "seen_at"),
        ):
            connection.execute(update(table).values({name: table.c[name] + by for name in names}))

    await store.write(later)


async def one(store: Store, column: Any) -> Any:
    return await store.read(lambda c: c.execute(select(column)).scalar_one())


async def left(store: Store, column: Any) -> float:
    """Return the seconds until the time in a column."""
    return float((await one(store, column) - await moment(store)) / SECOND)


@pytest.mark.parametrize("by", LEAPS)
async def test_clock_that_went_back_before_a_start_makes_nothing_wait_longer(store: Store, by: int) -> None:
    await waiting(store, 2.0)
    await note(store, by=None)
    await shift(store, -by)
    noted = await note(store, by=None)
    assert noted.by == pytest.approx(by / SECOND, abs=5)
    assert noted.leaps == 1
    assert await left(store, deliveries.c.due_at) <= 2.0
    assert await left(store, lanes.c.claimable_at) <= 2.0


@pytest.mark.parametrize("by", LEAPS)
async def test_clock_that_goes_back_while_it_runs_makes_nothing_wait_longer(store: Store, by: int) -> None:
    longest = Longest(delivery={"table": 6 * 3600.0}, lease=30.0)
    noted = await note(store, by=None, longest=longest)
    await waiting(store, 100.0)
    await shift(store, -by)
    await store.write(lambda c: c.execute(update(clock).values(seen_at=ask(c)[1] - 5 * SECOND)))
    noted = await note(store, by=by, knows=noted.leaps, longest=longest)
    assert noted.leaps == 1
    assert 90.0 < await left(store, lanes.c.claimable_at) <= 100.0
    assert 90.0 < await left(store, deliveries.c.due_at) <= 100.0
    again = await note(store, by=by, knows=0, longest=longest)  # another process that has seen it too
    assert again.leaps == 1
    assert again.by == 0
    assert 90.0 < await left(store, lanes.c.claimable_at) <= 100.0


@given(by=st.integers(20 * SECOND, 400 * DAY), wait=st.floats(0.1, 30.0))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_leap_back_leaves_each_wait_as_long_as_it_was(store: Store, by: int, wait: float) -> None:
    longest = Longest(delivery={"table": 3600.0}, lease=30.0)
    noted = await note(store, by=None, longest=longest)
    if not await store.read(lambda c: c.execute(select(deliveries.c.id)).first()):
        await store.submit(keep(notification("n1")))
    at = await moment(store) + micros(wait) + by
    await store.write(lambda c: c.execute(update(lanes).values(claimable_at=at)))
    noted = await note(store, by=-by, knows=noted.leaps, longest=longest)
    assert wait - 5.0 < await left(store, lanes.c.claimable_at) <= wait


async def test_everything_else_that_waits_by_the_clock_is_put_right_too(store: Store) -> None:
    kept = await store.submit(keep(notification("n1")))
    await note(store, by=None)

    def fill(connection: Connection) -> None:
        now = ask(connection)[1]
        rates.stop(connection, "account acme", 5.0)
        call_slots.balance(connection, "acme", holder="h", keeps=0, demand=1, most=4, lease=10.0)
        watermarks.take(connection, WEBSERVICE, token="t", lease=30.0)
        watermarks.go_on(connection, WEBSERVICE, token="t", lease=30.0, until=now - 60 * SECOND)
        fetches.note_failed(connection, kept.id, state=FetchState.DUE, reason="down", spent=0, due_at=now + 2 * SECOND)
        connection.execute(update(notifications).values(report_due_at=now + 3 * SECOND))
        alarms.raise_alarm(connection, "unauthorised", "webhook", "…")
        for name, cause, until in (
            ("table", Cause.MISCONFIGURED, now + HOUR),
            ("other", Cause.QUOTA, now - now % DAY + DAY),
        ):
            pauses.pause(
                connection, Pause(kind=Kind.DESTINATION, name=name, cause=cause, reason="…", since=now, until=until)
            )

    await store.write(fill)
    await shift(store, 30 * DAY)
    await note(store, by=None)
    now = await moment(store)
    assert await left(store, func.max(rate_rows.c.used_until)) <= 5.0
    assert await left(store, slot_rows.c.until) <= 30.0
    assert await left(store, mark_rows.c.lease_until) <= 30.0
    assert await one(store, mark_rows.c.until) is None
    assert await left(store, notifications.c.fetch_due_at) <= 2.0
    assert await left(store, notifications.c.report_due_at) <= 3.0
    assert await left(store, alarm_rows.c.last_at) <= 0.0
    ends = dict(await store.read(lambda c: c.execute(select(pause_rows.c.name, pause_rows.c.until)).fetchall()))
    assert ends["table"] <= now + HOUR
    assert ends["other"] == now - now % DAY + DAY


async def test_lease_that_lapses_by_a_leap_forward_is_not_taken_from_its_holder(store: Store) -> None:
    noted = await note(store, by=None)
    store.believe()
    await store.submit(keep(notification("n1")))
    (held,) = await store.claim(ALL)
    await shift(store, -HOUR)  # as if the clock had gone forward by an hour since
    believed = store._believed
    assert believed is not None
    store._believed = Reading(believed.before, believed.moment - HOUR, believed.after)
    assert store.leapt() == pytest.approx(HOUR, abs=5 * SECOND)
    assert await store.claim(ALL) == []
    await note(store, by=store.leapt(), knows=noted.leaps)
    store.believe()
    assert store.leapt() == 0
    assert await store.claim(ALL) == []
    assert 25.0 < await left(store, lanes.c.claimable_at) <= 30.0
    settled = await settle(store, Settlement(due=held, attempt_id=None, state=DeliveryState.SKIPPED))
    assert settled.accepted


async def test_wait_that_no_leap_explains_is_shortened_at_a_start(store: Store) -> None:
    await note(store, by=None)
    await waiting(store, 30 * 86400.0)
    noted = await note(store, by=None)
    assert (noted.by, noted.shortened) == (0.0, 1)
    assert await left(store, lanes.c.claimable_at) <= 2.0
    assert await left(store, deliveries.c.due_at) <= 2.0


async def test_wait_in_a_line_and_a_strict_lane_stay_as_they_are(store: Store) -> None:
    await note(store, by=None)
    await waiting(store, 600.0)
    await note(store, by=None)
    assert await left(store, lanes.c.claimable_at) > 500.0
    await store.write(lambda c: c.execute(update(lanes).values(claimable_at=2**62)))
    await shift(store, 0)
    await store.write(lambda c: c.execute(update(clock).values(seen_at=clock.c.seen_at + HOUR)))
    await note(store, by=None)
    assert await one(store, lanes.c.claimable_at) == 2**62


async def test_clock_that_is_a_day_ahead_at_a_start_is_not_believed_for_an_hour(store: Store) -> None:
    await note(store, by=None)
    assert await store.read(leaps.unsteady_for) == 0
    await shift(store, -200 * DAY)
    noted = await note(store, by=None)
    assert noted.rested == pytest.approx(200 * 86400, abs=5)
    assert 3590 < await store.read(leaps.unsteady_for) <= 3600
    await store.write(lambda c: c.execute(update(clock).values(leapt_at=clock.c.leapt_at - HOUR)))
    assert await store.read(leaps.unsteady_for) == 0


async def test_store_of_an_earlier_version_is_judged_by_its_newest_row(store: Store) -> None:
    await store.submit(keep(notification("n1")))
    await store.write(
        lambda c: c.execute(update(notifications).values(received_at=notifications.c.received_at - 2 * DAY))
    )
    noted = await note(store, by=None)
    assert noted.rested == pytest.approx(2 * 86400, abs=5)


async def test_readings_between_which_a_process_stood_still_are_no_leap() -> None:
    first = Reading(0.0, 0, 0.1)
    assert Reading(5.0, 65 * SECOND, 65.0).leap_since(first) == 0
    assert Reading(60.0, 61 * SECOND, 61.0).leap_since(first) == 0
    assert Reading(60.0, 3660 * SECOND, 60.1).leap_since(first) == pytest.approx(HOUR, abs=SECOND)
    assert Reading(60.0, -3540 * SECOND, 60.1).leap_since(first) == pytest.approx(-HOUR, abs=SECOND)
