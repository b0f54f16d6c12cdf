"""The limits of an account: slots, the bucket, pauses and whose turn it is."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta

import pytest

from gateway.calls.account_limits import AccountLimits, Priority
from gateway.calls.buckets import TokenBucket, account_rate
from gateway.doforms.failures import Paused

MANY = 60_000
"""Requests a minute that no test here uses up."""


class WaitingCalls:
    """Calls that wait for their turn, and go on until they are told to end."""

    def __init__(self, limits: AccountLimits) -> None:
        self.limits = limits
        self.begun: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def queue(self, name: str, priority: Priority = Priority.FETCH) -> None:
        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._call(name, priority))
        await settled()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await settled()

    async def _call(self, name: str, priority: Priority) -> None:
        async with self.limits.slot(priority):
            self.begun.append(name)
            await self._ends[name].wait()


class Stopped:
    """A bucket out of which nothing may be taken for an hour."""

    def take(self, wanted: int, *, backlog: int = 0) -> int:
        return 0

    def wait(self) -> float:
        return 3600.0

    def stopped(self) -> float:
        return 3600.0


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def calls(*, in_flight: int = 1, per_minute: int = MANY) -> WaitingCalls:
    return WaitingCalls(AccountLimits(requests_per_minute=per_minute, max_in_flight=in_flight))


async def test_no_more_than_the_slots_are_in_flight() -> None:
    some = calls(in_flight=2)
    for name in "abc":
        await some.queue(name)
    assert some.begun == ["a", "b"]
    await some.end("a")
    assert some.begun == ["a", "b", "c"]


async def test_calls_of_one_priority_go_in_order_of_arrival() -> None:
    some = calls()
    for name in "abcd":
        await some.queue(name)
    for name in "abcd":
        await some.end(name)
    assert some.begun == ["a", "b", "c", "d"]


async def test_the_urgent_ones_go_first() -> None:
    some = calls()
    await some.queue("first")
    await some.queue("backfill", Priority.BACKFILL)
    await some.queue("report", Priority.REPORT)
    await some.queue("attachment", Priority.ATTACHMENT)
    await some.queue("fetch", Priority.FETCH)
    await some.queue("immediate", Priority.IMMEDIATE_FETCH)
    for name in ("first", "immediate", "fetch", "attachment", "report", "backfill"):
        await some.end(name)
    assert some.begun == ["first", "immediate", "fetch", "attachment", "report", "backfill"]


async def test_at_least_every_tenth_call_is_a_report_while_one_waits() -> None:
    some = calls()
    await some.queue("0")
    for number in range(1, 30):
        await some.queue(str(number), Priority.IMMEDIATE_FETCH)
    for name in ("r1", "r2"):
        await some.queue(name, Priority.REPORT)
    while len(some.begun) < 25:
        await some.end(some.begun[-1])
    places = [some.begun.index(name) for name in ("r1", "r2")]
    assert places[0] < 10
    assert places[1] - places[0] == 10


async def test_a_call_that_fails_or_is_cancelled_gives_its_slot_back() -> None:
    some = calls()
    await some.queue("running")
    await some.queue("next")
    some.tasks["running"].cancel()
    await settled()
    assert some.begun == ["running", "next"]
    await some.end("next")
    with suppress(ZeroDivisionError):
        async with some.limits.slot(Priority.FETCH):
            raise ZeroDivisionError
    await some.queue("last")
    assert some.begun[-1] == "last"


async def test_a_call_cancelled_while_it_waits_takes_nobodys_place() -> None:
    some = calls()
    for name in "abc":
        await some.queue(name)
    some.tasks["b"].cancel()
    await settled()
    await some.end("a")
    assert some.begun == ["a", "c"]
    await some.end("c")
    await some.queue("d")
    assert some.begun == ["a", "c", "d"]


async def test_a_call_cancelled_in_the_moment_of_its_turn_gives_its_slot_back() -> None:
    some = calls()
    await some.queue("a")
    await some.queue("b")
    some._ends["a"].set()
    await asyncio.sleep(0)
    some.tasks["b"].cancel()
    await settled()
    await some.queue("c")
    assert "c" in some.begun


async def test_a_call_cancelled_in_the_moment_in_which_it_hears_of_a_pause_gives_no_slot_back() -> None:
    some = calls()
    await some.queue("under way")
    await some.queue("waiting")
    some.limits.pause(3600.0, "doForms answered 429")
    some.tasks["waiting"].cancel()
    await settled()
    assert some.tasks["waiting"].cancelled()
    assert some.limits._in_flight == 1


async def test_a_burst_of_a_seconds_worth_goes_at_once_and_then_the_pace_holds() -> None:
    limits = AccountLimits(requests_per_minute=1200, max_in_flight=1000)
    started = time.monotonic()
    moments = []
    async with AsyncExitStack() as stack:
        for _ in range(24):
            await stack.enter_async_context(limits.slot(Priority.FETCH))
            moments.append(time.monotonic() - started)
    assert moments[19] < 0.04
    assert moments[23] == pytest.approx(4 / 20, abs=0.06)


@pytest.mark.parametrize("limit", [1, 6, 60, 600, 6000])
def test_no_minute_has_more_calls_than_the_limit_however_it_is_counted(limit: int) -> None:
    seconds = 0.0
    bucket = TokenBucket(account_rate(limit), clock=lambda: seconds)
    calls = []
    for tick in range(4 * 60 * 20):
        seconds = tick / 20
        calls += [seconds] * bucket.take(limit)
    starts = [0.0, *calls[::10], 60.0, 120.0]
    most = max(sum(start <= call < start + 60 for call in calls) for start in starts)
    assert 0.96 * limit - 1 <= most <= limit


async def test_the_bucket_fills_with_time_but_not_beyond_a_seconds_worth() -> None:
    seconds = 0.0
    limits = AccountLimits(requests_per_minute=120, max_in_flight=10, clock=lambda: seconds)
    some = WaitingCalls(limits)
    for name in "abc":
        await some.queue(name)
    assert some.begun == ["a", "b"]
    seconds = 1000.0
    for name in "def":
        await some.queue(name)
    assert sorted(some.begun) == ["a", "b", "c", "d"]


async def test_less_than_one_call_a_second_still_lets_one_go() -> None:
    some = WaitingCalls(AccountLimits(requests_per_minute=6, max_in_flight=10, clock=lambda: 0.0))
    await some.queue("a")
    await some.queue("b")
    assert some.begun == ["a"]


async def test_a_pause_holds_every_call_until_it_is_over() -> None:
    some = calls(in_flight=4)
    some.limits.pause(0.1, "busy")
    some.limits.pause(0.01, "busy")
    started = time.monotonic()
    await some.queue("a", Priority.IMMEDIATE_FETCH)
    await some.queue("b", Priority.REPORT)
    assert some.begun == []
    for name in "ab":
        some._ends[name].set()
        await some.tasks[name]
    assert 0.09 < time.monotonic() - started < 0.3


async def test_those_that_wait_hear_of_a_pause_that_is_long_and_later_ones_do_not_wait_at_all() -> None:
    some = calls(in_flight=1)
    for name in ("under way", "a"):
        await some.queue(name)
    await some.queue("report", Priority.REPORT)
    some.limits.pause(3600.0, "doForms answered 429")
    await settled()
    await some.queue("b")
    for name in ("a", "report", "b"):
        with pytest.raises(Paused) as raised:
            await some.tasks[name]
        assert raised.value.retry_after == pytest.approx(3600.0, abs=1.0)
        said = re.fullmatch("doForms answered 429: no calls until (.{19}) UTC", str(raised.value))
        assert said is not None
        until = datetime.fromisoformat(said[1]).replace(tzinfo=UTC)
        assert until - datetime.now(UTC) == pytest.approx(timedelta(hours=1), abs=timedelta(seconds=5))
    await some.end("under way")
    assert some.begun == ["under way"]
    assert some.limits._in_flight == 0


async def test_a_pause_that_another_process_was_told_of_is_one_here_too() -> None:
    some = calls()
    some.limits.bucket = Stopped()
    await some.queue("a")
    with pytest.raises(Paused):
        await some.tasks["a"]


async def test_while_something_else_comes_first_few_calls_begin_but_for_those_that_a_request_waits_for() -> None:
    seconds, busy = 0.0, True
    limits = AccountLimits(requests_per_minute=MANY, max_in_flight=10, clock=lambda: seconds, steps_back=lambda: busy)
    some = WaitingCalls(limits)
    for name in "abc":
        await some.queue(name)
    assert some.begun == ["a"]
    await some.queue("urgent", Priority.IMMEDIATE_FETCH)
    assert some.begun == ["a", "urgent"]
    seconds = 1.0
    limits.more()
    await settled()
    assert some.begun == ["a", "urgent", "b"]
    busy = False
    limits.more()
    await settled()
    assert some.begun == ["a", "urgent", "b", "c"]
