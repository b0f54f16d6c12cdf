"""A plugin that blocks the event loop is told by name and line, while it blocks."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from gateway.api import Delivery, Options, Receipt
from gateway.testing import make_context, make_delivery
from gateway.watchdog import _Watch, watching_for_standstill
from tests.support.sink import Sink


def work(seconds: float) -> None:
    time.sleep(seconds)


class Blocking(Sink):
    async def deliver(self, delivery: Delivery[Any]) -> Receipt:
        work(0.4)
        return Receipt(summary="blocked")


async def test_a_plugin_that_blocks_is_told_with_its_line_and_when_it_goes_on() -> None:
    blocking = Blocking(Blocking.Settings(), make_context("office"))
    with capture_logs() as logged, watching_for_standstill(after=0.1):
        await asyncio.sleep(0.05)
        await blocking.deliver(make_delivery(Options()))
        told = list(logged)
        await asyncio.sleep(0.15)
    [line] = told
    assert (line["log_level"], line["plugin"], line["destination"]) == ("error", "sink", "office")
    assert Path(__file__).name in line["line"]
    assert line["line"].endswith("in work()")
    assert [one["event"] for one in logged[1:]] == ["the gateway goes on"]
    assert 0.3 < logged[1]["stood"] < 3


async def test_whatever_else_blocks_is_told_too() -> None:
    with capture_logs() as logged, watching_for_standstill(after=0.1):
        work(0.4)
    [line] = logged
    assert line["call"].endswith("in work()")


async def test_a_loop_that_turns_is_told_of_in_no_way() -> None:
    with capture_logs() as logged, watching_for_standstill(after=0.5):
        for _ in range(20):
            await asyncio.sleep(0.02)
    assert logged == []


async def test_a_loop_that_waits_for_work_is_not_held_up_however_late_its_beat_is() -> None:
    watch = _Watch(0.1)
    with capture_logs() as logged:
        watch.start()
        watch._next.cancel()
        await asyncio.sleep(0.4)
        watch.stop()
    assert logged == []
