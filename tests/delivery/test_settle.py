from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gateway.config.loaded import DeliverySpec
from gateway.delivery.settle import Attempted, Result, clean, receipt_json, settlement_of, unsent
from gateway.destinations.destination import Traits
from gateway.destinations.options import Options
from gateway.models import DeliveryState, OnDoubt, Order, ReasonCode, Receipt, Repeatable, Retry
from gateway.retry import Deferred, GivenUp
from gateway.store.engine.transaction_time import SECOND
from gateway.store.work.queue import Due, Settlement

MOMENT = 1_000_000 * SECOND
SPEC = DeliverySpec(route="route", name="table", destination="table", options=Options(), traits=Traits())
DUE = Due(
    id=1,
    notification_id=1,
    lane_id=1,
    token="t",
    lease_until=0,
    number=1,
    route="route",
    name="table",
    destination="table",
    delivery_key="k",
    required=True,
)


def after(result: Result, spec: DeliverySpec = SPEC, due: Due = DUE, **more: object) -> Settlement:
    attempted = Attempted(result=result, reason="the reason", **more)  # type: ignore[arg-type]
    return settlement_of(due, spec, attempted, attempt_id=9, moment=MOMENT, jitter=0.5)


def repeatable(how: Repeatable) -> DeliverySpec:
    return replace(SPEC, traits=Traits(repeatable=how))


def test_a_receipt_ends_a_delivery() -> None:
    settlement = after(Result.DELIVERED, receipt=Receipt(summary="row 1"))
    assert settlement.state is DeliveryState.DELIVERED
    assert json.loads(settlement.receipt or "")["summary"] == "row 1"


def test_rejected_is_dead_at_once() -> None:
    settlement = after(Result.REJECTED)
    assert (settlement.state, settlement.reason, settlement.doubt) == (DeliveryState.DEAD, "the reason", False)


def test_unavailable_is_tried_again_after_its_wait() -> None:
    settlement = after(Result.UNAVAILABLE, duration=2.0)
    assert settlement.state is DeliveryState.PENDING
    assert settlement.counted
    assert settlement.due_at == MOMENT + 5 * SECOND
    assert settlement.spent == 7 * SECOND


def test_unavailable_as_a_whole_spends_neither_attempt_nor_time() -> None:
    settlement = after(Result.UNAVAILABLE, whole=True, duration=2.0)
    assert (settlement.state, settlement.counted, settlement.spent) == (DeliveryState.PENDING, False, 0)


def test_misconfigured_spends_neither_attempt_nor_time() -> None:
    settlement = after(Result.MISCONFIGURED)
    assert (settlement.state, settlement.counted, settlement.spent) == (DeliveryState.PENDING, False, 0)


def test_what_was_put_off_waits_as_long_as_it_was_told_and_is_no_attempt() -> None:
    settlement = after(Result.PUT_OFF, retry_after=7.0)
    assert (settlement.state, settlement.counted, settlement.spent) == (DeliveryState.PENDING, False, 0)
    assert (settlement.due_at, settlement.reason) == (MOMENT + 7 * SECOND, "the reason")
    assert settlement.result == "", "it stands in no history"
    assert after(Result.PUT_OFF).due_at == MOMENT
    assert after(Result.MISCONFIGURED).result == "misconfigured"


def test_skipped_ends_a_delivery_without_an_attempt() -> None:
    settlement = after(Result.SKIPPED)
    assert (settlement.state, settlement.attempt_id) == (DeliveryState.SKIPPED, None)
    assert settlement.reason == "the reason"


def test_given_up_says_how_often_and_why() -> None:
    settlement = after(Result.UNAVAILABLE, replace(SPEC, retry=Retry(attempts=3)), replace(DUE, attempts=2))
    assert settlement.state is DeliveryState.DEAD
    assert settlement.reason == "given up after 3 attempts: the reason"
    assert settlement.code is ReasonCode.GIVEN_UP


def test_what_a_destination_says_is_no_code_whatever_it_says() -> None:
    for says in ("the web service answered 503", "given up after reading it", "1 attachment of 1 missing: ask"):
        for result in (Result.UNAVAILABLE, Result.REJECTED, Result.MISCONFIGURED, Result.UNCERTAIN):
            attempted = Attempted(result=result, reason=says)
            settlement = settlement_of(DUE, SPEC, attempted, attempt_id=9, moment=MOMENT, jitter=0.5)
            assert (settlement.code, settlement.subject) == (None, None)


def test_what_was_not_there_hands_its_code_on() -> None:
    waits = Deferred(MOMENT + 5 * SECOND, "why", code=ReasonCode.WEBSERVICE_WAITS, subject="acme$$1")
    settlement = settlement_of(DUE, SPEC, unsent(waits, MOMENT), attempt_id=None, moment=MOMENT, jitter=0.5)
    assert (settlement.code, settlement.subject) == (ReasonCode.WEBSERVICE_WAITS, "acme$$1")
    assert settlement.due_at == MOMENT + 5 * SECOND
    lost = GivenUp("why", ReasonCode.ATTACHMENT_MISSING)
    settlement = settlement_of(DUE, SPEC, unsent(lost, MOMENT), attempt_id=None, moment=MOMENT, jitter=0.5)
    assert (settlement.state, settlement.code) == (DeliveryState.DEAD, ReasonCode.ATTACHMENT_MISSING)


@pytest.mark.parametrize("how", [Repeatable.YES, Repeatable.WITH_KEY])
def test_an_unknown_end_is_repeated_where_that_is_safe(how: Repeatable) -> None:
    assert after(Result.UNCERTAIN, repeatable(how)).state is DeliveryState.PENDING


def test_an_unknown_end_is_dead_as_in_doubt_where_a_repeat_is_not_safe() -> None:
    settlement = after(Result.UNCERTAIN, repeatable(Repeatable.NO))
    assert (settlement.state, settlement.doubt) == (DeliveryState.DEAD, True)
    assert settlement.reason == "in doubt: the reason"


def test_an_unknown_end_is_repeated_when_the_routes_file_says_so() -> None:
    spec = replace(repeatable(Repeatable.NO), on_doubt=OnDoubt.RETRY)
    assert after(Result.UNCERTAIN, spec).state is DeliveryState.PENDING


def test_dead_blocks_a_strict_lane_only() -> None:
    assert after(Result.REJECTED, replace(SPEC, order=Order.STRICT)).blocks
    assert not after(Result.REJECTED).blocks


def test_a_receipt_over_four_kilobytes_is_cut() -> None:
    text = receipt_json(Receipt(summary="long", details={"x": "y" * 5000}))
    assert len(text) <= 4096
    assert json.loads(text)["summary"] == "long"


def test_a_receipt_and_a_reason_hold_nothing_that_a_text_column_refuses() -> None:
    assert "\\u0000" not in receipt_json(Receipt(summary="a\x00b"))
    assert clean("a\x00b\ud800c") == "a\N{REPLACEMENT CHARACTER}b?c"


@pytest.mark.parametrize("final", [False, True])
def test_attempts_that_end_alike_are_followed_by_no_other_in_the_end(final: bool) -> None:
    settled = after(Result.UNCERTAIN, repeatable(Repeatable.YES), final=final)
    assert (settled.state, settled.doubt) == (DeliveryState.DEAD if final else DeliveryState.PENDING, final)
    if final:
        assert settled.reason == "in doubt: given up, since its attempts end alike: the reason"
