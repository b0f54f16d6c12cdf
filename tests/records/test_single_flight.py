"""Work that several ask for: done once, and who asked steps aside only while it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from gateway.records.single_flight import SingleFlight, Waits


class Work:
    """Work that goes on by steps of the test, and counts how often it was begun and who stands aside."""

    def __init__(self) -> None:
        self.begun = 0
        self.aside = 0
        self.turn = asyncio.Event()
        self.end = asyncio.Event()

    async def __call__(self, waits: Waits) -> str:
        self.begun += 1
        await self.turn.wait()
        waits()
        await self.end.wait()
        return "done"

    @contextmanager
    def stepping_aside(self) -> Iterator[None]:
        self.aside += 1
        try:
            yield
        finally:
            self.aside -= 1


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_who_ask_stand_aside_from_when_it_waits_until_it_ends() -> None:
    joint, work = SingleFlight[str](), Work()
    asked = [asyncio.create_task(joint.ask(1, work, aside=work.stepping_aside)) for _ in range(3)]
    await settle()
    assert (work.begun, work.aside) == (1, 0)
    work.turn.set()
    await settle()
    assert work.aside == 3
    work.end.set()
    assert await asyncio.gather(*asked) == ["done"] * 3
    assert work.aside == 0


async def test_who_goes_away_breaks_off_nothing() -> None:
    joint, work = SingleFlight[str](), Work()
    gone, stays = (asyncio.create_task(joint.ask(1, work, aside=work.stepping_aside)) for _ in range(2))
    work.turn.set()
    await settle()
    gone.cancel()
    await settle()
    assert work.aside == 1
    work.end.set()
    assert await stays == "done"


async def test_nobody_steps_aside_for_work_that_waits_for_nothing() -> None:
    joint: SingleFlight[str] = SingleFlight()
    aside = []

    async def quick(_: Waits) -> str:
        return "done"

    @contextmanager
    def stepping_aside() -> Iterator[None]:
        aside.append(True)
        yield

    assert await joint.ask(1, quick, aside=stepping_aside) == "done"
    assert aside == []


async def test_work_that_fails_before_it_waits_is_told_to_all_and_begun_anew_for_the_next() -> None:
    joint: SingleFlight[str] = SingleFlight()
    begun = []

    async def failing(waits: Waits) -> str:
        begun.append(waits)
        await asyncio.sleep(0)
        raise ValueError("no")

    told = await asyncio.gather(*(joint.ask(1, failing) for _ in range(2)), return_exceptions=True)
    assert [str(one) for one in told] == ["no", "no"]
    assert len(begun) == 1
    with pytest.raises(ValueError, match="no"):
        await joint.ask(1, failing)
    assert len(begun) == 2


async def test_what_is_under_way_is_broken_off_at_the_end() -> None:
    joint, work = SingleFlight[str](), Work()
    asked = asyncio.create_task(joint.ask(1, work))
    await settle()
    await joint.stop()
    with suppress(asyncio.CancelledError):
        await asked
    assert asked.cancelled()
    assert not work.end.is_set()
