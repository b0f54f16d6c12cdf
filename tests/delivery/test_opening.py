"""Opening destinations: what a plugin may raise there, what it must not, and where it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.delivery.leases import Leases
from gateway.delivery.pauses import Cause, Kind
from gateway.delivery.pipeline import Pipeline
from gateway.delivery.pipelines import Pipelines
from gateway.delivery.pressure import Pressure
from gateway.errors import Misconfigured, Unavailable
from gateway.log import Mask
from gateway.routing.loaded import DestinationEntry
from gateway.store import lane_leases
from gateway.testing import make_context
from tests.delivery.conftest import Parts, eventually
from tests.support.sink import Sink

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "s3cret-token"


class Opening(Sink):
    """Opens with each step of its script in turn, then without a fault."""

    def __init__(self, *script: BaseException | float) -> None:
        super().__init__(Sink.Settings(), make_context("table"))
        self.script = list(script)

    async def open(self) -> None:
        step = self.script.pop(0) if self.script else 0.0
        if isinstance(step, BaseException):
            raise step
        await asyncio.sleep(step)


@asynccontextmanager
async def opening(parts: Parts, *script: BaseException | float) -> AsyncIterator[Callable[[], Pipeline]]:
    mask = Mask()
    mask.learn([SECRET])

    def make(entry: DestinationEntry) -> Pipeline:
        return Pipeline(
            entry,
            store=parts.store,
            leases=Leases(parts.store, lane_leases.renew),
            pressure=Pressure(),
            current=parts.current,
            mask=mask,
            on_settled=lambda *_: None,
            on_delivered=lambda *_: None,
            on_misconfigured=lambda *_: None,
            on_room=lambda _: None,
        )

    pipelines = Pipelines(make=make, pauses=parts.pauses, mask=mask, on_opened=lambda: None, opened_within=0.05)
    entry = replace(parts.current.routes.destinations["table"], instance=Opening(*script))
    pipelines.load({"table": entry})

    def pipeline() -> Pipeline:
        made = pipelines.get("table")
        assert made is not None
        return made

    try:
        yield pipeline
    finally:
        await pipelines.finish(time.monotonic())


async def reason(parts: Parts) -> str | None:
    return parts.pauses.reason(Kind.DESTINATION, "table")


async def test_a_secret_in_the_text_of_misconfigured_is_masked_in_the_pause_and_its_alarm(parts: Parts) -> None:
    async with opening(parts, Misconfigured(f"login refused for {SECRET}")):
        assert await eventually(lambda: reason(parts)) == "login refused for ********"
        [alarm] = await eventually(parts.alarms)
        assert SECRET not in alarm.text


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (KeyError("colour"), "KeyError: 'colour'"),
        (SystemExit(3), "SystemExit: 3"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
)
async def test_a_bug_in_open_pauses_the_destination_until_it_opens(
    parts: Parts, fault: BaseException, told: str
) -> None:
    async with opening(parts, fault) as pipeline:
        assert await eventually(lambda: reason(parts)) == f"a bug of the plugin sink: {told} in open()"

        async def opened() -> bool:
            return pipeline().opened and await reason(parts) is None

        await eventually(opened)


async def test_an_open_that_hangs_is_told_and_tried_again(parts: Parts) -> None:
    async with opening(parts, 60.0) as pipeline:

        async def unopened() -> str | None:
            return pipeline().unopened

        assert await eventually(unopened) == "open() had no end within 0.05 s"

        async def opened() -> bool:
            return pipeline().opened

        await eventually(opened)
    assert await parts.alarms() == []


async def test_a_pause_that_a_person_ordered_outlives_a_misconfigured_open(parts: Parts) -> None:
    await parts.pauses.pause(Kind.DESTINATION, "table", "moved", cause=Cause.ORDERED)
    async with opening(parts, Misconfigured("login refused")) as pipeline:

        async def opened() -> bool:
            return pipeline().opened

        await eventually(opened)
        assert await reason(parts) == "moved"


async def test_unavailable_at_open_pauses_nothing(parts: Parts) -> None:
    async with opening(parts, Unavailable("not yet")) as pipeline:

        async def opened() -> bool:
            return pipeline().opened

        await eventually(opened)
    assert await parts.alarms() == []
