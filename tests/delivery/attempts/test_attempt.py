"""One attempt: what a destination does, what it may not do, and how each end is named."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.api import Delivery, DeliveryError, Misconfigured, Options, Receipt, Rejected, Unavailable, Uncertain
from gateway.delivery.attempts.attempt import attempt, takes_many
from gateway.delivery.attempts.classify import Classifier
from gateway.delivery.settle import Attempted, Result, receipt_json
from gateway.destinations.destination import Destination
from gateway.http.deadline import ends
from gateway.log import Mask
from gateway.testing import make_context, make_delivery
from tests.support.sink import Sink

SECRET = "s3cret-token"


class Scripted(Sink):
    """Does what it is told."""

    def __init__(self, *script: Any) -> None:
        super().__init__(Destination.Settings(), make_context("scripted"))
        self.script = script

    async def deliver(self, delivery: Delivery[Any]) -> Receipt:
        [one] = self.script
        if isinstance(one, BaseException):
            raise one
        if isinstance(one, float):
            await asyncio.sleep(one)
        return one  # type: ignore[no-any-return]


class Many(Scripted):
    """Answers for several with its script, or raises the one error in it."""

    async def deliver_many(self, deliveries: Sequence[Delivery[Any]]) -> Sequence[Receipt | DeliveryError]:
        if len(self.script) == 1:
            raise self.script[0]
        return self.script


async def attempted(destination: Sink, count: int = 1, timeout: float = 5.0) -> list[Attempted]:
    mask = Mask()
    mask.learn([SECRET])
    deliveries = [make_delivery(Options(), key=f"k{number}") for number in range(count)]
    classifier = Classifier(plugin="scripted", destination="office", mask=mask)
    return await attempt(destination, deliveries, timeout=timeout, classifier=classifier)


async def one(*script: Any, timeout: float = 5.0) -> Attempted:
    [result] = await attempted(Scripted(*script), timeout=timeout)
    return result


async def test_a_receipt_is_the_proof_of_a_delivery() -> None:
    result = await one(Receipt(summary="row 1", details={"id": 1}))
    assert (result.result, result.receipt) == (Result.DELIVERED, Receipt(summary="row 1", details={"id": 1}))


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (Rejected("why"), Result.REJECTED),
        (Unavailable("why"), Result.UNAVAILABLE),
        (Misconfigured("why"), Result.MISCONFIGURED),
        (Uncertain("why"), Result.UNCERTAIN),
        (Uncertain("why", most_attempts=5), Result.UNCERTAIN),
        (Uncertain("why", most_attempts=None), Result.UNCERTAIN),
        (DeliveryError("why"), Result.UNCERTAIN),
    ],
)
async def test_what_a_destination_raises_is_named_with_its_reason(error: DeliveryError, result: Result) -> None:
    with capture_logs() as logged:
        ended = await one(error)
    assert (ended.result, ended.reason, ended.whole, ended.retry_after) == (result, "why", False, None)
    assert logged == []


async def test_unavailable_passes_on_what_the_other_side_wishes() -> None:
    ended = await one(Unavailable("why", retry_after=7.0, whole=True))
    assert (ended.retry_after, ended.whole) == (7.0, True)


async def test_an_overrun_of_its_time_limit_is_uncertain() -> None:
    ended = await one(5.0, timeout=0.02)
    assert (ended.result, ended.reason) == (Result.UNCERTAIN, "no answer within its time limit of 0.02 s")
    assert 0.02 <= ended.duration < 1.0


async def test_what_is_raised_while_an_overrun_is_cancelled_does_not_hide_it() -> None:
    class Stubborn(Scripted):
        async def deliver(self, delivery: Delivery[Any]) -> Receipt:
            try:
                await asyncio.sleep(5.0)
            finally:
                raise Rejected("cleaned up badly")

    [ended] = await attempted(Stubborn(), timeout=0.02)
    assert ended.result is Result.UNCERTAIN


@pytest.mark.parametrize(
    ("foreign", "reason"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (TimeoutError(), "TimeoutError"),
        (ConnectionResetError("gone"), "ConnectionResetError: gone"),
        (SystemExit("no licence"), "SystemExit: no licence"),
        (asyncio.CancelledError("a task of its own"), "CancelledError: a task of its own"),
    ],
)
async def test_anything_else_raised_is_uncertain_and_logged_as_a_bug_of_the_plugin(
    foreign: BaseException, reason: str
) -> None:
    with capture_logs() as logged:
        ended = await one(foreign)
    assert (ended.result, ended.reason) == (Result.UNCERTAIN, f"a bug of the plugin scripted: {reason}")
    [line] = logged
    assert line["log_level"] == "error"
    assert line["exception"].splitlines()[-1].endswith(reason.partition(": ")[2] or type(foreign).__name__)
    assert "bug of the plugin" in line["event"]
    assert (line["plugin"], line["destination"], line["delivery_key"]) == ("scripted", "office", "k0")


async def test_a_receipt_that_holds_nonsense_is_a_bug_and_a_delivery_all_the_same() -> None:
    for odd in (Receipt(summary=None), Receipt(summary="a", details=7), Receipt(summary="a", left_out=5)):  # type: ignore[arg-type]
        with capture_logs() as logged:
            ended = await one(odd)
        assert ended.result is Result.DELIVERED
        assert ended.receipt is not None
        assert "a bug of the plugin scripted: its receipt cannot be kept" in ended.receipt.summary
        assert len(logged) == 1


async def test_a_receipt_may_hold_whatever_can_be_written_as_text() -> None:
    ended = await one(Receipt(summary="a", details={("a", 1): {1, 2}, None: object}))  # type: ignore[dict-item]
    assert ended.receipt is not None
    assert "('a', 1)" in receipt_json(ended.receipt)


async def test_a_wish_to_wait_that_is_no_number_of_seconds_is_a_bug_and_passed_over() -> None:
    for wish in ("soon", float("inf"), float("nan")):
        with capture_logs() as logged:
            ended = await one(Unavailable("busy", retry_after=wish))  # type: ignore[arg-type]
        assert (ended.result, ended.reason, ended.retry_after) == (Result.UNAVAILABLE, "busy", None)
        assert "retry_after" in logged[0]["error"]


async def test_an_error_made_without_the_text_of_its_parent_is_still_named() -> None:
    class Bare(Unavailable):
        def __init__(self) -> None:
            Exception.__init__(self, "bare")

    ended = await one(Bare())
    assert (ended.result, ended.reason, ended.whole) == (Result.UNAVAILABLE, "bare", False)


async def dry(destination: Sink) -> Attempted:
    classifier = Classifier(plugin="scripted", destination="office", mask=Mask())
    return await classifier.dry_run(destination, make_delivery(Options()))


async def test_a_dry_run_whose_preview_fails_ends_with_that_reason() -> None:
    class Silent(Scripted):
        def preview(self, delivery: Delivery[Any]) -> str:
            return self.script[0]  # type: ignore[no-any-return]

    for script, reason in (((), "IndexError"), ((None,), "preview() returned None instead of a text")):
        with capture_logs() as logged:
            ended = await dry(Silent(*script))
        assert ended.result is Result.REJECTED
        assert reason in str(ended.reason)
        assert "a bug of the plugin scripted" in str(ended.reason)
        assert len(logged) == 1


async def test_something_else_than_a_receipt_is_uncertain_and_a_bug_too() -> None:
    with capture_logs() as logged:
        ended = await one(None)
    assert ended.result is Result.UNCERTAIN
    assert ended.reason == "a bug of the plugin scripted: it returned None instead of a receipt"
    assert len(logged) == 1


async def test_an_error_without_a_text_is_named_by_its_type() -> None:
    assert (await one(Rejected())).reason == "Rejected"


async def test_secrets_are_masked_in_receipts_and_reasons() -> None:
    ended = await one(Receipt(summary=f"to {SECRET}", details={SECRET: [{"url": f"x{SECRET}"}], "n": 1}))
    assert ended.receipt == Receipt(summary="to ********", details={"********": [{"url": "x********"}], "n": 1})
    for error in (Rejected(f"bad {SECRET}"), ValueError(f"bad {SECRET}")):
        with capture_logs():
            assert SECRET not in str((await one(error)).reason)


async def test_a_plugin_that_does_not_end_after_its_time_limit_is_told_once() -> None:
    class Hangs(Scripted):
        async def deliver(self, delivery: Delivery[Any]) -> Receipt:
            return await self.context.in_thread(time.sleep, 0.3)

    classifier = Classifier(plugin="scripted", destination="office", mask=Mask())
    with capture_logs() as logged:
        [ended] = await attempt(
            Hangs(), [make_delivery(Options(), key="k1")], timeout=0.02, classifier=classifier, overdue=0.05
        )
    assert (ended.result, ended.reason) == (Result.UNCERTAIN, "no answer within its time limit of 0.02 s")
    [line] = logged
    assert (line["plugin"], line["destination"], line["delivery_keys"]) == ("scripted", "office", ["k1"])


async def test_what_several_tasks_of_a_plugin_raised_is_told_in_full() -> None:
    with capture_logs():
        ended = await one(ExceptionGroup("two", [Rejected("no such room"), KeyError("colour")]))
    assert str(ended.reason).endswith("two (2 sub-exceptions): Rejected: no such room; KeyError: 'colour'")


async def test_cancelling_an_attempt_cancels_it() -> None:
    running = asyncio.create_task(attempted(Scripted(5.0)))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_only_a_destination_of_its_own_deliver_many_takes_many() -> None:
    assert takes_many(Many())
    assert not takes_many(Scripted())


async def test_several_results_come_each_to_its_own_delivery() -> None:
    results = await attempted(Many(Receipt(summary="a"), Rejected("b"), Unavailable("c")), 3)
    assert [each.result for each in results] == [Result.DELIVERED, Result.REJECTED, Result.UNAVAILABLE]


async def test_several_that_raise_are_each_uncertain() -> None:
    with capture_logs():
        results = await attempted(Many(ZeroDivisionError("no")), 2)
    assert [each.result for each in results] == [Result.UNCERTAIN] * 2


async def test_several_that_all_fail_alike_are_each_named() -> None:
    results = await attempted(Many(Unavailable("down", whole=True)), 2)
    assert [(each.result, each.whole) for each in results] == [(Result.UNAVAILABLE, True)] * 2


async def test_a_result_of_the_wrong_length_makes_each_uncertain_and_is_a_bug() -> None:
    with capture_logs() as logged:
        results = await attempted(Many(Receipt(summary="a"), Receipt(summary="b")), 3)
    assert [each.result for each in results] == [Result.UNCERTAIN] * 3
    assert str(results[0].reason).endswith("TypeError: deliver_many returned 2 results for 3 deliveries")
    assert logged


async def test_no_results_at_all_make_each_uncertain_and_are_a_bug() -> None:
    class Forgets(Scripted):
        async def deliver_many(self, deliveries: Sequence[Delivery[Any]]) -> Sequence[Receipt | DeliveryError]:
            return None  # type: ignore[return-value]

    with capture_logs():
        results = await attempted(Forgets(), 2)
    assert [each.result for each in results] == [Result.UNCERTAIN] * 2
    assert "deliver_many returned None instead of a list" in str(results[0].reason)


@pytest.mark.parametrize("sign", ["é", "\N{GRINNING FACE}"])
def test_a_receipt_is_cut_to_four_kilobytes_whatever_it_is_written_in(sign: str) -> None:
    assert len(receipt_json(Receipt(summary=sign * 5000, details={"x": sign * 5000}))) <= 4096


async def test_requests_of_an_attempt_know_when_it_ends() -> None:
    seen: list[float | None] = []

    class Looking(Scripted):
        async def deliver(self, delivery: Delivery[Any]) -> Receipt:
            until = ends()
            seen.append(None if until is None else until - time.monotonic())
            return Receipt(summary="sent")

    await attempted(Looking(), timeout=20.0)
    assert ends() is None
    assert seen == [pytest.approx(20.0, abs=2.0)]


async def test_attempts_that_end_alike_are_counted_for_each_delivery_alone() -> None:
    classifier = Classifier(plugin="scripted", destination="office", mask=Mask())
    alike, other = Uncertain("no HTTP", most_attempts=3), Unavailable("down")
    ends_: list[bool] = []
    for error in (other, other, other, alike, other, alike, alike):
        delivery = make_delivery(Options(), key="k")
        [result] = await attempt(Scripted(error), [delivery], timeout=5.0, classifier=classifier)
        ends_.append(result.final)
    [stranger] = await attempt(
        Scripted(alike), [make_delivery(Options(), key="other")], timeout=5.0, classifier=classifier
    )
    assert ends_ == [False] * 6 + [True]
    assert not stranger.final
