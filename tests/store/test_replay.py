"""Replaying deliveries: the rules, on the store alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from gateway.models import DeliveryState, FetchState, Outcome, RecordKind, ReportState
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.operator import alarm_conditions
from gateway.store.operator.actions import ActionResult, Actor
from gateway.store.operator.queries import show_delivery
from gateway.store.operator.replay import Replay, next_key, replay
from gateway.store.operator.views import DeliveryDetails
from gateway.store.store import Store
from gateway.store.tables import deliveries, lanes, notifications
from gateway.store.work import fetches, lane_leases, outbox, records
from gateway.store.work.queue import Begin, Due, Settlement
from tests.store.test_queue import ALL, lapse
from tests.support.keeping import WEBSERVICE, keep, new_delivery, notification

BY = Actor(who="ann", why="the table is there now")
RENDERED = b'{"filename":"r1.json"}'
GIVEN_UP = {"result": "unavailable", "reason": "given up after 9 attempts in 3.0d: no answer"}
IN_DOUBT = {"result": "uncertain", "reason": "in doubt: no answer within its time limit", "doubt": True}
REJECTED = {"result": "rejected", "reason": "this period is closed"}


async def kept(store: Store, key: str = "n1", **more: Any) -> int:
    """Keep a notification; returns the id of its delivery."""
    return (await store.submit(keep(notification(key), **more))).deliveries[0].id


async def sent(store: Store) -> Due:
    """Claim the only delivery that is due, and begin to send it."""
    (due,) = await store.claim(ALL)
    assert await store.begin([Begin(due=due, attempt_id=due.id, rendered=RENDERED)]) == [True]
    return due


async def ended(store: Store, state: DeliveryState = DeliveryState.DEAD, **more: Any) -> Due:
    """Send the only delivery that is due, and let it end; the next of its lane is handed back."""
    due = await sent(store)
    if state is DeliveryState.DELIVERED:
        more.setdefault("receipt", '{"summary": "row 1", "details": {}}')
    (settled,) = await store.settle([Settlement(due=due, attempt_id=due.id, state=state, **more)])
    if settled.next is not None:
        held = [(settled.next.lane_id, settled.next.token)]
        await store.write(lambda c: lane_leases.release(c, held))
    return due


async def ordered(store: Store, *ids: int, **options: bool) -> list[ActionResult]:
    return await store.write(lambda c: replay(c, ids, Replay(by=BY, **options)))


async def told(store: Store, *ids: int, **options: bool) -> str:
    [one] = await ordered(store, *ids, **options)
    return f"{'done' if one.done else 'refused'}: {one.text}"


async def shown(store: Store, id_: int) -> DeliveryDetails:
    found = await store.read(lambda c: show_delivery(c, id_))
    assert found is not None
    return found


async def report_of(store: Store) -> tuple[str | None, str, bool]:
    """Return the outcome, the state of its report, and whether that is due."""
    column = notifications.c
    columns = select(column.outcome, column.report_state, column.report_due_at)
    outcome, state, due = await store.read(lambda c: tuple(c.execute(columns).one()))
    return outcome, state, due is not None and due <= now()


async def reported(store: Store) -> None:
    (report,) = await store.write(lambda c: outbox.claim_reports(c, most=1, token="t", lease=60.0))
    assert await store.write(lambda c: outbox.settle_report(c, report, state=ReportState.REPORTED))


@pytest.mark.parametrize("how", [GIVEN_UP, IN_DOUBT], ids=["given up", "in doubt"])
async def test_what_was_given_up_or_is_in_doubt_goes_again_as_it_was(store: Store, how: dict[str, Any]) -> None:
    id_ = await kept(store)
    before = await ended(store, **how)
    assert await told(store, id_) == "done: sent again as it was, under its old key"
    (due,) = await store.claim(ALL)
    assert (due.delivery_key, due.rendered, due.number) == (before.delivery_key, RENDERED, before.number)
    assert (due.attempts, due.spent, due.in_doubt) == (0, 0, False)


@pytest.mark.parametrize(
    ("state", "how"),
    [
        (DeliveryState.DEAD, REJECTED),
        (DeliveryState.SKIPPED, {"reason": "its `when` is false"}),
        (DeliveryState.DROPPED, {"reason": "dropped by ann"}),
    ],
)
async def test_what_was_rejected_skipped_or_dropped_is_rendered_anew_under_a_new_key(
    store: Store, state: DeliveryState, how: dict[str, Any]
) -> None:
    id_ = await kept(store)
    before = await ended(store, state, **how)
    assert await told(store, id_) == "done: rendered anew under a new key"
    (due,) = await store.claim(ALL)
    assert (due.delivery_key, due.rendered, due.number) == (next_key(before.delivery_key), None, before.number)


@pytest.mark.parametrize("option", ["render", "refetch"])
async def test_render_and_refetch_render_anew_what_would_go_as_it_was(store: Store, option: str) -> None:
    id_ = await kept(store)
    before = await ended(store, **GIVEN_UP)
    assert await told(store, id_, **{option: True}) == "done: rendered anew under a new key"
    (due,) = await store.claim(ALL)
    assert due.delivery_key != before.delivery_key
    assert due.rendered is None


async def test_what_was_delivered_goes_again_only_by_force(store: Store) -> None:
    id_ = await kept(store)
    await ended(store, DeliveryState.DELIVERED)
    assert await told(store, id_) == "refused: it was delivered: `--force` sends it once more"
    assert await store.claim(ALL) == []
    assert await told(store, id_, force=True) == "done: sent again as it was, under its old key"
    assert [due.id for due in await store.claim(ALL)] == [id_]


async def test_it_keeps_its_place_before_those_that_were_not_attempted(store: Store) -> None:
    first = await kept(store, "n1")
    second = await kept(store, "n2")
    await ended(store, **GIVEN_UP)
    await ordered(store, first)
    assert (await ended(store, DeliveryState.DELIVERED)).id == first
    assert (await ended(store, DeliveryState.DELIVERED)).id == second


async def test_it_keeps_its_place_before_one_that_is_held_but_not_begun(store: Store) -> None:
    first = await kept(store, "n1")
    second = await kept(store, "n2")
    await ended(store, **GIVEN_UP)
    (held,) = await store.claim(ALL)
    assert held.id == second
    await ordered(store, first)
    assert await store.begin([Begin(due=held, attempt_id=9, rendered=b"{}")]) == [False]
    assert [due.id for due in await store.claim(ALL)] == [first]


async def test_once_a_later_one_of_the_lane_was_attempted_it_is_refused(store: Store) -> None:
    first = await kept(store, "n1")
    await kept(store, "n2")
    await ended(store, **GIVEN_UP)
    await ended(store, DeliveryState.DELIVERED)
    assert await told(store, first) == (
        "refused: a later delivery of its record was attempted already: `--overtaken` sends it all the same, behind it"
    )
    assert (await shown(store, first)).state == "dead"


async def test_another_delivery_of_the_same_notification_overtakes_nothing(store: Store) -> None:
    one = notification()
    ways = [replace(new_delivery(one), route=name, delivery_key=name) for name in ("state", "audit")]
    kept_ = await store.submit(keep(one, deliveries=tuple(ways)))
    await ended(store, **GIVEN_UP)
    await ended(store, DeliveryState.DELIVERED)
    first = kept_.deliveries[0].id
    assert (await told(store, first)).startswith("done: sent again as it was")
    await ended(store, **GIVEN_UP)
    await kept(store, "n2")
    await ended(store, DeliveryState.DELIVERED)
    assert (await told(store, first)).startswith("refused: a later delivery of its record was attempted already")


async def test_a_later_one_that_retention_has_deleted_is_not_forgotten(store: Store) -> None:
    first, second = await kept(store, "n1"), await kept(store, "n2")
    await ended(store, **GIVEN_UP)
    await ended(store, DeliveryState.DELIVERED)
    await store.write(lambda c: c.execute(delete(deliveries).where(deliveries.c.id == second)))
    assert await told(store, first) == (
        "refused: a later delivery of its record has ended, and was deleted by retention: "
        "`--overtaken` sends it all the same, behind it"
    )
    assert (await told(store, first, overtaken=True)).startswith("done: ")
    assert (await told(store, first)).startswith("done: ")  # it is the last of its lane now


async def test_while_a_later_one_is_being_sent_it_is_overtaken(store: Store) -> None:
    first = await kept(store, "n1")
    await kept(store, "n2")
    await ended(store, **GIVEN_UP)
    later = await sent(store)
    assert (await told(store, first)).startswith("refused: a later delivery")
    assert (await told(store, first, overtaken=True)).startswith("done")
    (settled,) = await store.settle([Settlement(due=later, attempt_id=later.id, state=DeliveryState.SKIPPED)])
    assert settled.accepted, "its holder keeps the lane while it sends"
    assert settled.next is not None
    assert settled.next.id == first


async def test_one_that_was_overtaken_goes_to_the_end_if_told_so(store: Store) -> None:
    first = await kept(store, "n1")
    for key in ("n2", "n3"):
        await kept(store, key)
    await ended(store, **GIVEN_UP)
    await ended(store, DeliveryState.DELIVERED)
    assert await told(store, first, overtaken=True) == (
        "done: sent again as it was, under its old key, at the end of its lane"
    )
    assert (await ended(store, DeliveryState.DELIVERED)).id == first + 2
    last = await ended(store, DeliveryState.DELIVERED)
    assert last.id == first
    assert last.number == await store.read(lambda c: c.execute(select(lanes.c.last_number)).scalar_one())


async def test_dead_ones_of_a_lane_that_are_replayed_together_go_in_their_old_order(store: Store) -> None:
    ids = [await kept(store, key) for key in ("n1", "n2", "n3")]
    for _ in ids:
        await ended(store, **REJECTED)
    assert [one.done for one in await ordered(store, *ids)] == [True] * 3
    assert [(await ended(store, DeliveryState.DELIVERED)).id for _ in ids] == ids


async def test_of_those_replayed_together_only_the_overtaken_ones_are_refused(store: Store) -> None:
    ids = [await kept(store, key) for key in ("n1", "n2", "n3")]
    await ended(store, **REJECTED)
    await ended(store, DeliveryState.DELIVERED)
    await ended(store, **REJECTED)
    assert {one.id: one.done for one in await ordered(store, ids[0], ids[2])} == {ids[0]: False, ids[2]: True}


async def test_deliveries_of_other_lanes_overtake_nothing(store: Store) -> None:
    first = await kept(store, "n1", to=("table", "mail"))
    for due in await store.claim(ALL):
        await store.begin([Begin(due=due, attempt_id=due.id, rendered=b"{}")])
        await store.settle([Settlement(due=due, attempt_id=due.id, state=DeliveryState.DEAD, **REJECTED)])
    assert (await told(store, first)).startswith("done")


async def test_a_strict_lane_goes_on_when_what_blocks_it_is_replayed(store: Store) -> None:
    first = await kept(store, "n1")
    second = await kept(store, "n2")
    await ended(store, blocks=True, **REJECTED)
    assert await store.claim(ALL) == []
    await ordered(store, first)
    assert (await ended(store, DeliveryState.DELIVERED)).id == first
    assert (await ended(store, DeliveryState.DELIVERED)).id == second


async def test_a_waiting_one_is_tried_at_once(store: Store) -> None:
    id_ = await kept(store)
    await ended(store, DeliveryState.PENDING, due_at=now() + 3600 * SECOND, spent=7, **GIVEN_UP)
    assert await store.claim(ALL) == []
    assert await told(store, id_) == "done: tried at once"
    (due,) = await store.claim(ALL)
    assert (due.attempts, due.spent) == (1, 7), "it goes on counting"


async def test_one_that_is_being_sent_is_not_touched(store: Store) -> None:
    id_ = await kept(store)
    due = await sent(store)
    assert await told(store, id_, render=True) == (
        "refused: it is being sent at this moment: try again when that has ended"
    )
    (settled,) = await store.settle([Settlement(due=due, attempt_id=due.id, state=DeliveryState.DELIVERED)])
    assert settled.accepted


async def test_one_whose_attempt_was_cut_short_is_left_to_be_settled(store: Store) -> None:
    id_ = await kept(store)
    await sent(store)
    await lapse(store)
    assert (await told(store, id_)).startswith("refused: an attempt of it was cut short")
    (due,) = await store.claim(ALL)
    assert due.in_doubt


async def test_who_when_and_why_stand_in_its_history(store: Store) -> None:
    id_ = await kept(store)
    before = await ended(store, **REJECTED)
    await ordered(store, id_)
    died, again = (await shown(store, id_)).history
    assert (died.result, died.reason) == ("rejected", "this period is closed")
    assert again.result == "replayed"
    assert again.reason == (f"by ann: the table is there now; rendered anew, before its key was {before.delivery_key}")
    assert again.ended is not None


async def test_a_replay_that_changes_the_outcome_reports_again(store: Store) -> None:
    id_ = await kept(store)
    await ended(store, **GIVEN_UP)
    await reported(store)
    await ordered(store, id_)
    assert await report_of(store) == ("failed", "reported", False), "told until something else is known"
    await ended(store, DeliveryState.DELIVERED)
    assert await report_of(store) == ("completed", "open", True)
    await reported(store)
    assert await report_of(store) == ("completed", "reported", False)


async def test_a_replay_that_leads_to_the_same_outcome_reports_nothing(store: Store) -> None:
    id_ = await kept(store)
    await ended(store, **GIVEN_UP)
    await reported(store)
    await ordered(store, id_)
    await ended(store, **GIVEN_UP)
    assert await report_of(store) == ("failed", "reported", False)


async def test_a_report_of_the_old_outcome_that_is_under_way_does_not_swallow_the_new_one(store: Store) -> None:
    id_ = await kept(store)
    await ended(store, **GIVEN_UP)
    (old,) = await store.write(lambda c: outbox.claim_reports(c, most=1, token="t", lease=60.0))
    await ordered(store, id_)
    await ended(store, DeliveryState.DELIVERED)
    assert not await store.write(lambda c: outbox.settle_report(c, old, state=ReportState.REPORTED))
    assert await report_of(store) == ("completed", "open", True)
    (new,) = await store.write(lambda c: outbox.claim_reports(c, most=1, token="u", lease=60.0))
    assert new.outcome is Outcome.COMPLETED


async def test_without_reports_the_outcome_changes_silently(store: Store) -> None:
    id_ = await kept(store, report=False)
    await ended(store, **GIVEN_UP)
    await ordered(store, id_)
    await ended(store, DeliveryState.DELIVERED)
    assert await report_of(store) == ("completed", "none", False)


async def test_a_fetch_that_waits_is_made_at_once_after_those_that_come_before_it(store: Store) -> None:
    for key, record in (("n1", "r1"), ("n2", "r1"), ("n3", "r1"), ("n4", "r2")):
        await store.submit(keep(notification(key, record=record), fetch=True))
    later = store.now() + 3600 * SECOND
    for id_ in range(1, 5):
        await store.write(
            lambda c, one=id_: fetches.note_failed(
                c, one, state=FetchState.DUE, reason="429", spent=0, due_at=later, counted=False
            )
        )
    await ordered(store, 2)
    found = await store.read(lambda c: records.load(c, [1, 2, 3, 4]))
    assert [one.fetch_due_at for one in found.values()] == [None, None, later, later]


async def test_a_record_that_was_given_up_is_fetched_once_more(store: Store) -> None:
    id_ = await kept(store, fetch=True)
    await store.write(lambda c: fetches.note_failed(c, 1, state=FetchState.GIVEN_UP, reason="404", spent=SECOND))
    (due,) = await store.claim(ALL)
    await store.settle([Settlement(due=due, attempt_id=None, state=DeliveryState.DEAD, **REJECTED)])
    assert await store.read(lambda c: alarm_conditions.not_fetched(c, WEBSERVICE))
    await ordered(store, id_)
    fetched = (await store.read(lambda c: records.load(c, [1])))[1]
    assert (fetched.fetch_state, fetched.fetch_attempts, fetched.fetch_spent) == (FetchState.DUE, 0, 0)
    assert not await store.read(lambda c: alarm_conditions.not_fetched(c, WEBSERVICE)), "so that its alarm ends"


async def test_a_refetch_replaces_the_record_only_when_the_new_one_has_come(store: Store) -> None:
    id_ = await kept(store, fetch=True)
    fetched = (await store.read(lambda c: records.load(c, [1])))[1]
    await store.write(lambda c: records.pin(c, fetched, {RecordKind.SUBMISSION: b"old"}))
    await ended(store, **REJECTED)
    await ordered(store, id_)
    assert (await store.read(lambda c: records.load(c, [1])))[1].fetch_state is FetchState.PINNED
    await ordered(store, id_, refetch=True)
    assert (await store.read(lambda c: records.load(c, [1])))[1].fetch_state is FetchState.DUE
    assert await store.read(lambda c: records.pinned_bodies(c, 1)) == {RecordKind.SUBMISSION: b"old"}
    await store.write(lambda c: records.pin(c, fetched, {RecordKind.SUBMISSION: b"new"}))
    assert await store.read(lambda c: records.pinned_bodies(c, 1)) == {RecordKind.SUBMISSION: b"new"}


async def test_hundreds_are_replayed_by_one_order(store: Store) -> None:
    ids = [
        (await store.submit(keep(notification(f"n{number}", record=f"r{number}")))).deliveries[0].id
        for number in range(300)
    ]
    dead = {"state": DeliveryState.DEAD.value, "in_lane": False, "attempt_id": 1, "reason": "given up"}
    await store.write(lambda c: c.execute(update(deliveries).values(dead)))
    await store.write(lambda c: c.execute(update(lanes).values(claimable_at=None)))
    assert all(one.done for one in await ordered(store, *ids))
    assert len(await store.claim({"table": 1000})) == 300
