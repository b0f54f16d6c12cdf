from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from gateway.models import DeliveryState, Outcome
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.operator.queries import show_delivery
from gateway.store.store import Store
from gateway.store.tables import attempts, deliveries, lanes, notifications
from gateway.store.work import lane_leases, queue
from gateway.store.work.queue import Begin, Due, Settled, Settlement
from tests.support.keeping import keep, notification

ALL = {"table": 100, "mail": 100}


def delivered(due: Due, attempt_id: int | None = 1, **more: Any) -> Settlement:
    values: dict[str, Any] = {"receipt": '{"summary": "done", "details": {}}', "state": DeliveryState.DELIVERED}
    return Settlement(due=due, attempt_id=attempt_id, **(values | more))


def dead(due: Due, **more: Any) -> Settlement:
    return Settlement(due=due, attempt_id=1, state=DeliveryState.DEAD, reason="refused", result="rejected", **more)


async def settle(store: Store, settlement: Settlement) -> Settled:
    (settled,) = await store.settle([settlement])
    return settled


async def lapse(store: Store) -> None:
    """Let every lease lapse."""

    def write(connection: Connection) -> None:
        connection.execute(update(lanes).where(lanes.c.holder.is_not(None)).values(claimable_at=now() - 1))

    await store.write(write)


async def test_a_lane_is_claimed_once(store: Store) -> None:
    await store.submit(keep())
    (first,) = await store.claim(ALL)
    assert (first.destination, first.attempts, first.in_doubt) == ("table", 0, False)
    assert await store.claim(ALL) == []


async def test_only_the_head_of_a_lane_is_claimed(store: Store) -> None:
    for key in ("n1", "n2", "n3"):
        await store.submit(keep(notification(key)))
    await store.submit(keep(notification("other", record="r2")))
    claimed = await store.claim(ALL)
    assert len(claimed) == 2
    assert len({due.lane_id for due in claimed}) == 2


async def test_a_claim_takes_no_more_than_wanted_of_each_destination(store: Store) -> None:
    for number in range(5):
        await store.submit(keep(notification(f"n{number}", record=f"r{number}"), to=("table", "mail")))
    claimed = await store.claim({"table": 2, "mail": 1})
    assert sorted(due.destination for due in claimed) == ["mail", "table", "table"]


async def test_of_two_who_settle_a_delivery_together_only_the_holder_is_heard(store: Store) -> None:
    await store.submit(keep(notification("n1")))
    await store.submit(keep(notification("n2")))
    (late,) = await store.claim(ALL)
    await lapse(store)
    (holder,) = await store.claim(ALL)
    lost, settled = await store.settle([delivered(late, attempt_id=None), delivered(holder, attempt_id=None)])
    assert (lost.accepted, lost.next) == (False, None)
    assert settled.accepted
    assert settled.next is not None


async def test_an_attempt_of_unknown_end_stays_in_doubt_while_its_delivery_is_put_off(store: Store) -> None:
    await store.submit(keep())
    (due,) = await store.claim(ALL)
    await store.begin([Begin(due=due, attempt_id=1)])
    await lapse(store)
    (again,) = await store.claim(ALL)
    put_off = Settlement(due=again, attempt_id=None, state=DeliveryState.PENDING, due_at=now(), counted=False)
    await settle(store, put_off)
    (later,) = await store.claim(ALL)
    assert later.in_doubt


async def test_settling_hands_the_next_of_the_lane_to_the_holder(store: Store) -> None:
    await store.submit(keep(notification("n1")))
    kept = await store.submit(keep(notification("n2")))
    (due,) = await store.claim(ALL)
    settled = await settle(store, delivered(due))
    assert settled.accepted
    assert settled.next is not None
    assert settled.next.id == kept.deliveries[0].id
    assert settled.next.token == due.token
    assert await store.claim(ALL) == []


async def test_a_dead_delivery_lets_the_next_one_go(store: Store) -> None:
    await store.submit(keep(notification("n1")))
    await store.submit(keep(notification("n2")))
    (due,) = await store.claim(ALL)
    settled = await settle(store, dead(due))
    assert settled.outcome is Outcome.FAILED
    assert settled.next is not None


async def test_a_dead_delivery_in_a_strict_lane_blocks_it(store: Store) -> None:
    await store.submit(keep(notification("n1")))
    await store.submit(keep(notification("n2")))
    (due,) = await store.claim(ALL)
    settled = await settle(store, dead(due, blocks=True))
    assert settled.next is None
    assert await store.claim(ALL) == []


async def test_a_delivery_that_waits_holds_its_lane_back_until_it_is_due(store: Store) -> None:
    await store.submit(keep(notification("n1")))
    await store.submit(keep(notification("n2")))
    (due,) = await store.claim(ALL)
    later = now() + 60 * SECOND
    again = Settlement(due=due, attempt_id=1, state=DeliveryState.PENDING, due_at=later, result="unavailable")
    settled = await settle(store, again)
    assert (settled.accepted, settled.next, settled.outcome) == (True, None, None)
    assert await store.claim(ALL) == []
    assert await store.read(lambda c: queue.next_due(c, ["table", "mail"])) == {"table": later}


async def test_a_lapsed_lease_makes_the_work_due_again_and_the_old_holder_settles_nothing(store: Store) -> None:
    await store.submit(keep())
    (old,) = await store.claim(ALL)
    await lapse(store)
    (new,) = await store.claim(ALL)
    assert new.id == old.id
    assert not (await settle(store, dead(old))).accepted
    assert (await settle(store, delivered(new))).accepted


async def test_whoever_claims_an_attempt_that_was_begun_and_never_settled_knows_it(store: Store) -> None:
    await store.submit(keep())
    (due,) = await store.claim(ALL)
    assert await store.begin([Begin(due=due, attempt_id=7, rendered=b"what is sent")]) == [True]
    await lapse(store)
    (again,) = await store.claim(ALL)
    assert (again.in_doubt, again.rendered, again.attempts) == (True, b"what is sent", 1)


async def test_an_attempt_that_was_cut_short_and_is_repeated_stands_in_the_history_once(store: Store) -> None:
    await store.submit(keep())
    (due,) = await store.claim(ALL)
    assert await store.begin([Begin(due=due, attempt_id=7, rendered=b"{}")]) == [True]
    await lapse(store)
    (again,) = await store.claim(ALL)
    for _ in range(2):  # the answer to the first commit may be lost
        assert await store.begin([Begin(due=again, attempt_id=8)]) == [True]
    await settle(store, delivered(again, 8))
    shown = await store.read(lambda c: show_delivery(c, due.id))
    assert shown is not None
    assert [(one.number, one.result) for one in shown.history] == [(1, "uncertain")]
    assert "its end is not known: the gateway ended or lost the store meanwhile" in shown.history[0].reason
    assert (shown.attempts, shown.state) == (2, "delivered")


async def test_an_attempt_does_not_begin_without_the_lease(store: Store) -> None:
    await store.submit(keep())
    (old,) = await store.claim(ALL)
    await lapse(store)
    await store.claim(ALL)
    assert await store.begin([Begin(due=old, attempt_id=7, rendered=b"x")]) == [False]


async def test_what_was_rendered_first_stays(store: Store) -> None:
    await store.submit(keep())
    (due,) = await store.claim(ALL)
    await store.begin([Begin(due=due, attempt_id=1, rendered=b"first")])
    await store.begin([Begin(due=due, attempt_id=2, rendered=b"second")])
    await lapse(store)
    (again,) = await store.claim(ALL)
    assert again.rendered == b"first"


async def test_a_beginning_that_was_committed_already_counts_once(store: Store) -> None:
    await store.submit(keep())
    (due,) = await store.claim(ALL)
    for _ in range(2):
        assert await store.begin([Begin(due=due, attempt_id=7, rendered=b"x")]) == [True]
    await lapse(store)
    (again,) = await store.claim(ALL)
    assert again.attempts == 1


async def test_what_attempts_spent_adds_up_and_each_stands_in_the_history(store: Store) -> None:
    await store.submit(keep())
    for number in (1, 2):
        (due,) = await store.claim(ALL)
        await store.begin([Begin(due=due, attempt_id=number)])
        again = Settlement(due=due, attempt_id=number, state=DeliveryState.PENDING, due_at=now(), spent=5)
        again.result, again.reason = "unavailable", f"503 for the {number}."
        await settle(store, again)
    (due,) = await store.claim(ALL)
    assert (due.attempts, due.spent, due.in_doubt) == (2, 10, False)
    column = attempts.c
    history = select(column.delivery_id, column.number, column.result, column.reason).order_by(column.id)
    rows = await store.read(lambda c: c.execute(history).fetchall())
    assert [tuple(row) for row in rows] == [
        (due.id, 1, "unavailable", "503 for the 1."),
        (due.id, 2, "unavailable", "503 for the 2."),
    ]


async def test_how_a_delivery_ended_is_written_down(store: Store) -> None:
    await store.submit(keep(to=("table", "mail")))
    claimed = {due.destination: due for due in await store.claim(ALL)}
    await settle(store, delivered(claimed["table"]))
    await settle(store, dead(claimed["mail"], doubt=True))
    column = deliveries.c
    ended = select(column.state, column.in_lane, column.reason, column.doubt, column.receipt, column.settled_at)
    rows = await store.read(lambda c: c.execute(ended.order_by(column.destination.desc())).fetchall())
    assert [tuple(row)[:-1] for row in rows] == [
        ("delivered", False, None, False, '{"summary": "done", "details": {}}'),
        ("dead", False, "refused", True, None),
    ]
    assert all(abs(row.settled_at - now()) < 10 * SECOND for row in rows)


async def test_the_lanes_that_are_due_longest_are_claimed_first(store: Store) -> None:
    for number in range(5):
        await store.submit(keep(notification(f"n{number}", record=f"r{number}")))
    moment = now()
    for due in await store.claim(ALL):
        await settle(store, Settlement(due=due, attempt_id=None, state=DeliveryState.PENDING, due_at=moment - due.id))
    claimed = [due.id for due in await store.claim({"table": 2})]
    assert (
        sorted(claimed) == sorted(await store.read(lambda c: c.execute(select(deliveries.c.id)).scalars().all()))[-2:]
    )


async def test_a_settlement_that_was_committed_is_accepted_again_by_its_attempt_id(store: Store) -> None:
    await store.submit(keep())
    (due,) = await store.claim(ALL)
    await store.begin([Begin(due=due, attempt_id=7)])
    assert (await settle(store, delivered(due, 7))).accepted
    assert (await settle(store, delivered(due, 7))).accepted
    assert not (await settle(store, delivered(due, 8))).accepted


async def test_a_renewed_lease_lasts_and_a_lost_one_is_not_renewed(store: Store) -> None:
    await store.submit(keep())
    (due,) = await store.claim(ALL)
    renewed = await store.write(lambda c: lane_leases.renew(c, {due.lane_id: due.token}, 60.0))
    assert renewed[due.lane_id] > due.lease_until
    assert await store.write(lambda c: lane_leases.renew(c, {due.lane_id: "somebody else"}, 60.0)) == {}


async def test_what_is_handed_back_is_due_at_once(store: Store) -> None:
    await store.submit(keep())
    (due,) = await store.claim(ALL)
    await store.release([due])
    (again,) = await store.claim(ALL)
    assert (again.id, again.in_doubt) == (due.id, False)


async def test_the_outcome_comes_with_the_last_delivery_that_counts(store: Store) -> None:
    await store.submit(keep(to=("table", "mail")))
    first, second = await store.claim(ALL)
    assert (await settle(store, delivered(first))).outcome is None
    assert (await settle(store, delivered(second))).outcome is Outcome.COMPLETED


async def test_a_delivery_that_does_not_count_neither_delays_nor_spoils_the_outcome(store: Store) -> None:
    item = keep(to=("table", "mail"))
    await store.submit(keep(item.notification, deliveries=(item.deliveries[0], _optional(item.deliveries[1]))))
    claimed = {due.destination: due for due in await store.claim(ALL)}
    assert (await settle(store, delivered(claimed["table"]))).outcome is Outcome.COMPLETED
    assert (await settle(store, dead(claimed["mail"]))).outcome is None
    outcome = await store.read(lambda c: c.execute(select(notifications.c.outcome)).scalar_one())
    assert outcome == "completed"


def _optional(delivery: Any) -> Any:
    from dataclasses import replace

    return replace(delivery, required=False)


async def test_an_attempt_that_does_not_count_is_as_if_it_had_not_been_made(store: Store) -> None:
    await store.submit(keep())
    (due,) = await store.claim(ALL)
    await store.begin([Begin(due=due, attempt_id=1)])
    again = Settlement(due=due, attempt_id=1, state=DeliveryState.PENDING, due_at=now(), counted=False)
    await settle(store, again)
    counted = await store.read(lambda c: c.execute(select(deliveries.c.attempts)).scalar_one())
    assert counted == 0


async def test_at_start_the_leases_of_a_dead_process_are_void(store: Store) -> None:
    await store.submit(keep())
    (due,) = await store.claim(ALL)
    assert await store.write(lane_leases.void_leases) == 1
    (again,) = await store.claim(ALL)
    assert again.id == due.id
