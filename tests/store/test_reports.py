from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Row, case, select, update

from gateway.models import Mode, Outcome, ReportState
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.store import Store
from gateway.store.tables import notifications
from gateway.store.work import inbox, outbox
from gateway.store.work.inbox import Kept
from gateway.store.work.outbox import Report
from gateway.store.work.queue import Due
from tests.store.test_queue import delivered
from tests.support.keeping import keep, notification


async def kept_with_outcome(store: Store, mode: Mode = Mode.DELAYED, **more: object) -> int:
    kept = await store.submit(keep(mode=mode, take=True, **more))  # type: ignore[arg-type]
    (settled,) = await store.settle([delivered(held(kept))])
    assert settled.outcome is Outcome.COMPLETED
    return kept.id


def held(kept: Kept) -> Due:
    """Return the delivery whose lane was taken with the keeping."""
    (one,) = kept.deliveries
    assert one.token is not None
    return Due(
        id=one.id,
        notification_id=kept.id,
        lane_id=one.lane_id,
        token=one.token,
        lease_until=kept.lease_until,
        number=one.number,
        route=one.new.route,
        name=one.new.name,
        destination=one.new.destination,
        delivery_key=one.new.delivery_key,
        required=one.new.required,
    )


async def due(store: Store) -> list[Report]:
    return await store.write(lambda c: outbox.claim_reports(c, most=10, token="t1", lease=60.0))


async def row(store: Store) -> Row[tuple[object, ...]]:
    return await store.read(lambda c: c.execute(select(notifications)).one())


async def mark(store: Store, id_: int, outcome: Outcome | None) -> None:
    await store.write(lambda c: inbox.mark_answered(c, id_, outcome))


async def test_in_delayed_mode_the_report_is_due_with_the_outcome(store: Store) -> None:
    await kept_with_outcome(store)
    (report,) = await due(store)
    assert (report.notification_key, report.outcome) == ("n1", Outcome.COMPLETED)
    assert await due(store) == []


async def test_nothing_is_reported_where_reporting_is_off(store: Store) -> None:
    await kept_with_outcome(store, report=False)
    assert await due(store) == []


async def test_an_outcome_told_in_the_answer_is_not_reported(store: Store) -> None:
    id_ = await kept_with_outcome(store, Mode.IMMEDIATE)
    assert await due(store) == []
    await mark(store, id_, Outcome.COMPLETED)
    assert (await row(store)).report_state == ReportState.ANSWERED
    assert await store.read(outbox.next_report_due) is None


async def test_without_the_mark_of_its_answer_the_report_is_due_after_ten_seconds(store: Store) -> None:
    await kept_with_outcome(store, Mode.IMMEDIATE)
    at = await store.read(outbox.next_report_due)
    assert at is not None
    assert 8 * SECOND < at - now() <= 10 * SECOND


async def test_an_immediate_notification_answered_empty_is_reported(store: Store) -> None:
    kept = await store.submit(keep(mode=Mode.IMMEDIATE, take=True))
    await mark(store, kept.id, None)
    await store.settle([delivered(held(kept))])
    assert len(await due(store)) == 1


async def test_a_repeat_answered_empty_makes_the_report_due_whatever_the_first_answer_says(store: Store) -> None:
    kept = await store.submit(keep(mode=Mode.IMMEDIATE, take=True))
    repeat = await store.submit(keep(mode=Mode.IMMEDIATE))
    assert (repeat.repeat, repeat.outcome) == (True, None)
    await store.settle([delivered(held(kept))])
    await mark(store, kept.id, Outcome.COMPLETED)
    assert len(await due(store)) == 1


async def test_a_repeat_that_hears_the_outcome_owes_nothing(store: Store) -> None:
    id_ = await kept_with_outcome(store, Mode.IMMEDIATE)
    await mark(store, id_, Outcome.COMPLETED)
    repeat = await store.submit(keep(mode=Mode.IMMEDIATE))
    assert repeat.outcome is Outcome.COMPLETED
    assert await due(store) == []


async def test_a_report_that_failed_is_due_again_at_its_time(store: Store) -> None:
    await kept_with_outcome(store)
    (report,) = await due(store)
    later = now() + 60 * SECOND
    assert await store.write(
        lambda c: outbox.settle_report(c, report, state=ReportState.DUE, due_at=later, reason="503", spent=5)
    )
    assert await store.read(outbox.next_report_due) == later
    stands = await row(store)
    assert (stands.report_attempts, stands.report_reason, stands.reported_at) == (1, "503", None)


async def test_a_report_that_was_put_off_spends_time_and_no_attempt(store: Store) -> None:
    await kept_with_outcome(store)
    for counted in (True, False):
        (report,) = await due(store)
        await store.write(
            lambda c, report=report, counted=counted: outbox.settle_report(
                c, report, state=ReportState.DUE, due_at=now(), reason="429", spent=5, counted=counted
            )
        )
    (report,) = await due(store)
    assert (report.attempts, report.spent) == (1, 10)


async def test_a_report_is_handed_back_by_who_holds_it_and_due_at_once(store: Store) -> None:
    await kept_with_outcome(store)
    (report,) = await due(store)
    await store.write(lambda c: outbox.release(c, [replace(report, token="other")]))
    assert await due(store) == []
    await store.write(lambda c: outbox.release(c, [report]))
    assert await store.read(outbox.next_report_due) == pytest.approx(now(), abs=10 * SECOND)
    assert len(await due(store)) == 1


async def test_the_reports_that_are_due_longest_are_claimed_first(store: Store) -> None:
    for number in range(5):
        item = keep(notification(f"n{number}"), to=(), outcome=Outcome.COMPLETED, mode=Mode.DELAYED)
        await mark(store, (await store.submit(item)).id, None)
    at = case({f"n{number}": now() - number * SECOND for number in range(5)}, value=notifications.c.notification_key)
    await store.write(lambda c: c.execute(update(notifications).values(report_due_at=at)))
    claimed = await store.write(lambda c: outbox.claim_reports(c, most=2, token="t1", lease=60.0))
    assert sorted(report.notification_key for report in claimed) == ["n3", "n4"]
    assert sorted(report.notification_key for report in await due(store)) == ["n0", "n1", "n2"]


async def test_a_report_that_was_heard_ends(store: Store) -> None:
    await kept_with_outcome(store)
    (report,) = await due(store)
    assert await store.write(lambda c: outbox.settle_report(c, report, state=ReportState.REPORTED))
    stands = await row(store)
    assert (stands.report_state, stands.report_reason) == (ReportState.REPORTED, None)
    assert stands.reported_at == pytest.approx(now(), abs=10 * SECOND)
    assert await store.read(outbox.next_report_due) is None


async def test_a_paused_web_service_keeps_its_reports(store: Store) -> None:
    await kept_with_outcome(store)
    paused = [(await row(store)).webservice_id]
    assert await store.write(lambda c: outbox.claim_reports(c, most=10, token="t1", lease=60.0, paused=paused)) == []
    assert len(await due(store)) == 1


async def test_an_open_answer_of_a_dead_process_no_longer_holds_the_report_back(store: Store) -> None:
    kept = await store.submit(keep(mode=Mode.IMMEDIATE, take=True))
    await store.write(outbox.forget_open_answers)
    await store.settle([delivered(held(kept))])
    assert len(await due(store)) == 1


async def test_a_report_whose_lease_was_lost_is_settled_by_its_new_holder_alone(store: Store) -> None:
    await kept_with_outcome(store)
    (lost,) = await store.write(lambda c: outbox.claim_reports(c, most=10, token="t0", lease=0.0))
    (report,) = await due(store)
    assert not await store.write(lambda c: outbox.settle_report(c, lost, state=ReportState.GONE))
    assert await store.write(lambda c: outbox.renew(c, {report.notification_id: "t0"}, 60.0)) == {}
    assert await store.write(lambda c: outbox.settle_report(c, report, state=ReportState.REPORTED))
    assert (await row(store)).report_state == ReportState.REPORTED


async def test_a_renewed_report_is_not_due_for_others(store: Store) -> None:
    await kept_with_outcome(store)
    (report,) = await store.write(lambda c: outbox.claim_reports(c, most=10, token="t0", lease=0.0))
    renewed = await store.write(lambda c: outbox.renew(c, {report.notification_id: "t0"}, 60.0))
    assert renewed[report.notification_id] > report.lease_until
    assert await due(store) == []


async def test_at_start_the_reports_that_a_dead_process_held_are_due(store: Store) -> None:
    await kept_with_outcome(store)
    assert len(await due(store)) == 1
    assert await store.write(outbox.void_leases) == 1
    assert len(await due(store)) == 1


async def test_an_outcome_whose_answer_died_with_its_process_is_reported_at_once(store: Store) -> None:
    await kept_with_outcome(store, Mode.IMMEDIATE)
    assert await due(store) == []
    await store.write(outbox.forget_open_answers)
    assert len(await due(store)) == 1
