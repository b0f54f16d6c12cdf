"""An event loop whose clock jumps: a test that sleeps for hours ends at once, and sleeps exactly so long."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.SelectSelector):
    """Waits for nothing: where nobody has anything to do, the time of the next timer has come."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("the test waits for something that never comes")
        if not ready and timeout:
            self.loop.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs what needs no thread and no other process; ``now`` is in seconds from its start."""

    def __init__(self) -> None:
        selector = _Jumping()
        selector.loop = self
        self.now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        """Return the virtual time."""
        return self.now


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)


def seconds() -> float:
    """Return the virtual time of the loop that runs."""
    return asyncio.get_running_loop().time()


def micros() -> int:
    """Return the virtual time as a store tells it: in microseconds, long after 1970."""
    return round((1_000_000 + seconds()) * 1_000_000)
