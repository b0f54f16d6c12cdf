"""Opening destinations: what a plugin may raise there, what it must not, and where it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from gateway.config.loaded import DestinationEntry
from gateway.delivery.opening import Opener
from gateway.delivery.pipeline import Pipeline
from gateway.delivery.pool import PipelinePool
from gateway.errors import Misconfigured, Unavailable
from gateway.log import Mask
from gateway.pauses import Cause, Kind
from gateway.store.operator import pauses
from gateway.store.operator.pauses import OPENING, Pause
from gateway.testing import make_context
from tests.support.parts import Parts, eventually
from tests.support.pipelines import flow_of, make_pipeline
from tests.support.sink import Sink
from tests.support.wild import Panic

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

    async def close(self) -> None:
        if self.script:
            await self.open()


@asynccontextmanager
async def opening(parts: Parts, *script: BaseException | float) -> AsyncIterator[Callable[[], Pipeline]]:
    mask = Mask()
    mask.learn([SECRET])

    def make(entry: DestinationEntry) -> Pipeline:
        return make_pipeline(parts, entry, mask=mask)

    pipelines = PipelinePool(
        make=make, pauses=parts.pauses, mask=mask, flow=flow_of(parts), opened_within=0.05, closed_within=0.05
    )
    entry = replace(parts.active.routes.destinations["table"], instance=Opening(*script))
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
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (Panic("in Rust"), "Panic: in Rust"),
        (
            BaseExceptionGroup("two", [Panic("a"), KeyError("b")]),
            "BaseExceptionGroup: two (2 sub-exceptions): Panic: a; KeyError: 'b'",
        ),
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


@pytest.mark.parametrize(
    ("step", "told"), [(60.0, "close() had no end within 0.05 s"), (KeyError("colour"), "KeyError: 'colour'")]
)
async def test_a_close_that_hangs_or_fails_is_told_with_its_plugin(
    parts: Parts, step: BaseException | float, told: str
) -> None:
    with capture_logs() as logged:
        async with opening(parts, 0.0, step) as pipeline:

            async def opened() -> bool:
                return pipeline().opened

            await eventually(opened)
    [line] = [one for one in logged if one["event"] == "destination could not be closed"]
    assert (line["destination"], line["plugin"], line["error"]) == ("table", "sink", told)


async def noted(parts: Parts) -> Pause | None:
    found = await parts.store.read(pauses.list_pauses)
    return next((one for one in found if one.kind == OPENING), None)


async def test_unavailable_at_open_is_noted_until_it_opens(parts: Parts) -> None:
    async with opening(parts, Unavailable(f"no licence for {SECRET}"), Unavailable("still none")) as pipeline:
        first = await eventually(lambda: noted(parts))
        assert (first.name, first.reason) == ("table", "no licence for ********")
        assert first.until is not None
        assert first.until > first.since

        async def opened() -> bool:
            return pipeline().opened and await noted(parts) is None

        await eventually(opened)
    assert await parts.alarms() == []


@pytest.mark.parametrize(("wish", "kept"), [(75.0, 60.0), (0.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0), ("soon", 1.0)])
async def test_wish_of_an_unavailable_open_is_honoured_within_bounds(parts: Parts, wish: float, kept: float) -> None:
    async with opening(parts, Unavailable("busy", retry_after=wish), Unavailable("busy")):
        one = await eventually(lambda: noted(parts))
        assert one.until is not None
        assert one.until - one.since == pytest.approx(kept * 1_000_000)


async def test_destination_that_stays_unopened_raises_an_alarm_that_ends_when_it_opens(parts: Parts) -> None:
    mask = Mask()

    class Slow(Opening):
        opened = False

        async def open(self) -> None:
            if not self.opened:
                raise Unavailable("no way there", retry_after=1.0)

    instance = Slow()
    opener = Opener(pauses=parts.pauses, mask=mask, within=5.0, alarm_after=0.0)
    entry = replace(parts.active.routes.destinations["table"], instance=instance)
    pipeline = make_pipeline(parts, entry, mask=mask)
    working = asyncio.create_task(opener.open(pipeline))
    [alarm] = await eventually(parts.alarms)
    assert (alarm.kind, alarm.subject) == ("destination not open", "table")
    assert "no way there" in alarm.text
    await parts.watch().look()
    assert await parts.alarms(), "it stands as long as its cause"
    instance.opened = True
    await asyncio.wait_for(working, 10)
    assert await parts.alarms() == []


async def test_alarm_of_a_destination_that_nobody_opens_any_more_ends(parts: Parts) -> None:
    await parts.pauses.opening("table", "no way there", next_in=60.0, alarm=True)
    await parts.pauses.mended()
    await parts.watch().look()
    assert await parts.alarms() == []


async def test_open_that_has_no_end_yet_is_noted(parts: Parts) -> None:
    opener = Opener(pauses=parts.pauses, mask=Mask(), within=60.0, slow=0.01)
    async with opening(parts) as pipeline:
        made = pipeline()
    made.entry = replace(made.entry, instance=Opening(60.0))
    made.unopened = None
    working = asyncio.create_task(opener.open(made))
    one = await eventually(lambda: noted(parts))
    assert (one.reason, one.until) == ("open() has no end yet", None)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
