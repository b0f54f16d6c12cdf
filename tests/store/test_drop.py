"""Dropping deliveries and unmatched notifications: a person gives them up."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from gateway.models import DeliveryState, Outcome
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.operator import alarm_conditions
from gateway.store.operator.actions import ActionResult, Actor
from gateway.store.operator.drop import drop, drop_unmatched
from gateway.store.store import Store
from gateway.store.tables import notifications
from gateway.store.work import alarms
from gateway.store.work.queue import Begin, Settlement
from tests.store.test_queue import ALL
from tests.store.test_replay import GIVEN_UP, REJECTED, ended, kept, report_of, reported, sent, shown
from tests.support.keeping import WEBSERVICE, keep, notification

BY = Actor(who="ann", why="typed twice")


async def dropped(store: Store, *ids: int) -> list[ActionResult]:
    return await store.write(lambda c: drop(c, ids, BY))


async def test_a_waiting_one_ends_as_dropped_with_who_when_and_why_and_the_next_goes_on(store: Store) -> None:
    first = await kept(store, "n1")
    second = await kept(store, "n2")
    await ended(store, DeliveryState.PENDING, due_at=now() + 3600 * SECOND, **GIVEN_UP)
    [one] = await dropped(store, first)
    assert (one.done, one.text) == (True, "dropped by ann: typed twice")
    details = await shown(store, first)
    assert (details.state, details.reason, details.in_doubt) == ("dropped", "dropped by ann: typed twice", False)
    assert details.settled is not None
    assert [(each.result, each.reason) for each in details.history][-1] == ("dropped", "by ann: typed twice")
    assert [due.id for due in await store.claim(ALL)] == [second]


async def test_a_strict_lane_goes_on_when_what_blocks_it_is_dropped(store: Store) -> None:
    first = await kept(store, "n1")
    second = await kept(store, "n2")
    await ended(store, blocks=True, **REJECTED)
    assert await store.claim(ALL) == []
    await dropped(store, first)
    assert [due.id for due in await store.claim(ALL)] == [second]


async def test_one_that_is_held_but_not_begun_is_taken_from_its_holder(store: Store) -> None:
    id_ = await kept(store)
    (due,) = await store.claim(ALL)
    await dropped(store, id_)
    assert await store.begin([Begin(due=due, attempt_id=1, rendered=b"{}")]) == [False]
    assert (await shown(store, id_)).state == "dropped"


async def test_one_that_is_being_sent_is_not_touched_but_those_behind_it_are(store: Store) -> None:
    first = await kept(store, "n1")
    second = await kept(store, "n2")
    due = await sent(store)
    refused, done = await dropped(store, first, second)
    assert (refused.done, refused.text) == (False, "it is being sent at this moment: try again when that has ended")
    assert done.done
    (settled,) = await store.settle(
        [Settlement(due=due, attempt_id=due.id, state=DeliveryState.DELIVERED, receipt="{}")]
    )
    assert (settled.accepted, settled.next) == (True, None)


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.SKIPPED, DeliveryState.DROPPED])
async def test_what_has_ended_otherwise_cannot_be_dropped(store: Store, state: DeliveryState) -> None:
    id_ = await kept(store)
    await ended(store, state)
    [one] = await dropped(store, id_)
    assert (one.done, one.text) == (False, f"it is {state}: only what is pending or dead can be dropped")


async def test_a_dropped_one_counts_as_failed_and_is_reported(store: Store) -> None:
    id_ = await kept(store)
    await dropped(store, id_)
    assert await report_of(store) == ("failed", "open", True)


async def test_dropping_what_is_dead_reports_nothing_new(store: Store) -> None:
    id_ = await kept(store)
    await ended(store, **REJECTED)
    await reported(store)
    await dropped(store, id_)
    assert await report_of(store) == ("failed", "reported", False)


async def test_dropping_one_of_several_leaves_the_outcome_open(store: Store) -> None:
    id_ = await kept(store, to=("table", "mail"))
    await dropped(store, id_)
    assert await report_of(store) == (None, "open", False)
    await ended(store, DeliveryState.DELIVERED)
    assert await report_of(store) == ("failed", "open", True)


async def unmatched(store: Store, key: str, **more: Any) -> int:
    alarm = f"notification {key}: no route matches"
    item = keep(notification(key), to=(), matched=False, reason="no route matches", alarm=alarm, **more)
    return (await store.submit(item)).id


async def test_an_unmatched_notification_that_is_dropped_has_failed_and_its_alarm_ends_with_the_last(
    store: Store,
) -> None:
    first, second = await unmatched(store, "n1"), await unmatched(store, "n2")
    await store.write(lambda c: drop_unmatched(c, [first], BY))
    assert len(await store.read(alarms.list_alarms)) == 1
    await store.write(lambda c: drop_unmatched(c, [second], BY))
    assert await store.read(alarms.list_alarms) == []
    for _ in (first, second):
        await reported(store)


async def test_the_alarm_of_what_came_after_a_drop_is_not_kept_up_by_what_was_dropped(store: Store) -> None:
    first = await unmatched(store, "n1")
    await store.write(lambda c: drop_unmatched(c, [first], BY))
    assert not await store.read(lambda c: alarm_conditions.unmatched(c, WEBSERVICE))
    second = await unmatched(store, "n2")
    assert len(await store.read(alarms.list_alarms)) == 1
    assert await store.read(lambda c: alarm_conditions.unmatched(c, WEBSERVICE))
    await store.write(
        lambda c: c.execute(update(notifications).where(notifications.c.id == second).values(matched=True))
    )
    assert not await store.read(lambda c: alarm_conditions.unmatched(c, WEBSERVICE))


async def test_what_is_completed_though_no_route_matches_keeps_no_alarm_up(store: Store) -> None:
    await unmatched(store, "n1", outcome=Outcome.COMPLETED)
    assert not await store.read(lambda c: alarm_conditions.unmatched(c, WEBSERVICE))


async def test_an_unmatched_notification_keeps_the_outcome_that_was_told(store: Store) -> None:
    id_ = await unmatched(store, "n1", outcome=Outcome.COMPLETED)
    await store.write(lambda c: drop_unmatched(c, [id_], BY))
    assert (await report_of(store))[0] == "completed"
