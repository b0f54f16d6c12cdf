"""The poller: when it looks, by a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from gateway.poller import POLL, Poller
from tests.support.virtual_time import micros, run, seconds


class Looks:
    """Looks that sleep as a script says, and tell when they were made; the last one ends the poller."""

    def __init__(self, poller: Poller, *script: float | Exception) -> None:
        self.poller = poller
        self.script = list(script)
        self.at: list[float] = []

    async def __call__(self) -> float:
        self.at.append(round(seconds(), 6))
        step = self.script.pop(0)
        if not self.script:
            self.poller.stop()
        if isinstance(step, Exception):
            raise step
        return step


def looked(*script: float | Exception, meanwhile: Callable[[Poller], None] = lambda _: None) -> list[float]:
    async def keep() -> list[float]:
        poller = Poller(micros)
        looks = Looks(poller, *script)
        meanwhile(poller)
        await poller.keep_looking(looks)
        return looks.at

    return run(keep())


def later(at: float, what: Callable[[Poller], None]) -> Callable[[Poller], None]:
    return lambda poller: asyncio.get_running_loop().call_at(at, what, poller) and None


def test_poller_sleeps_exactly_until_there_can_be_more() -> None:
    assert looked(0.25, 0.5, 0.0, 1.0) == [0.0, 0.25, 0.75, 0.75]


def test_poller_that_is_woken_looks_at_once() -> None:
    assert looked(1.0, 1.0, 1.0, meanwhile=later(0.4, lambda poller: poller.wake())) == [0.0, 0.4, 1.4]


def test_poller_that_was_woken_while_it_looked_looks_again() -> None:
    async def keep() -> list[float]:
        poller = Poller(micros)
        at = []

        async def look() -> float:
            at.append(seconds())
            if len(at) == 1:
                poller.wake()
            else:
                poller.stop()
            return 1.0

        await poller.keep_looking(look)
        return at

    assert run(keep()) == [0.0, 0.0]


def test_poller_wakes_for_what_falls_due_before_it_would_wake_and_for_nothing_later() -> None:
    def due_in(wait: float) -> Callable[[Poller], None]:
        return lambda poller: poller.due_at(micros() + round(wait * 1_000_000))

    assert looked(1.0, 1.0, 1.0, meanwhile=later(0.4, due_in(0.1))) == [0.0, 0.4, 1.4]
    assert looked(1.0, 1.0, 1.0, meanwhile=later(0.4, due_in(0.7))) == [0.0, 1.0, 2.0]


def test_poller_tries_again_after_an_error_of_the_store() -> None:
    with capture_logs() as logged:
        assert looked(0.5, OSError("disk full"), 0.5, 0.5) == [0.0, 0.5, 0.5 + POLL, 1.0 + POLL]
    assert [line["event"] for line in logged] == ["the store could not be read or written; trying again"]


def test_poller_that_is_stopped_while_it_sleeps_ends_at_once() -> None:
    async def keep() -> float:
        poller = Poller(micros)
        asyncio.get_running_loop().call_at(0.3, poller.stop)

        async def look() -> float:
            return 1.0

        await poller.keep_looking(look)
        return seconds()

    assert run(keep()) == pytest.approx(0.3)


@pytest.mark.parametrize(("due_in", "wait"), [(None, POLL), (-5.0, 0.001), (0.0, 0.001), (0.25, 0.25), (3600.0, POLL)])
def test_poller_waits_for_what_is_due_but_no_longer_than_it_polls(due_in: float | None, wait: float) -> None:
    async def ask() -> float:
        due_at = None if due_in is None else micros() + round(due_in * 1_000_000)
        return Poller(micros).wait_for(due_at)

    assert run(ask()) == pytest.approx(wait)
