"""An event loop whose clock jumps: a test that sleeps for hours ends at once, and sleeps exactly so long."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar

from sqlalchemy import Connection, StaticPool, create_engine

from gateway.store.tables import metadata

T = TypeVar("T")

_BUSY = 100
"""Turns of the loop without a wait, from which on each takes some time."""
_TICK = 1e-6
"""Seconds."""


class _Jumping(selectors.SelectSelector):
    """Waits for nothing: where nobody has anything to do, the time of the next timer has come."""

    loop: VirtualTimeLoop
    _turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("the test waits for something that never comes")
        if not ready and timeout:
            self.loop.now += timeout
        self._turns = 0 if timeout else self._turns + 1
        if self._turns > _BUSY:  # work takes time: a wait of less than the clock can show must end
            self.loop.now += _TICK
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


_BEGAN = time.time()


def micros() -> int:
    """Return the virtual time as a store tells it: in microseconds since 1970."""
    return round((_BEGAN + seconds()) * 1_000_000)


class StoreInVirtualTime:
    """A store on a database in memory, without threads: what it is asked it does at once."""

    def __init__(self) -> None:
        self._engine = create_engine("sqlite://", poolclass=StaticPool)
        metadata.create_all(self._engine)
        self.database = SimpleNamespace(shared=False)
        self.lease = 60.0

    def now(self) -> int:
        """Return the virtual time."""
        return micros()

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query."""
        with self._engine.connect() as connection:
            return query(connection)

    async def write(self, operation: Callable[[Connection], T], *, carries: int | None = None) -> T:
        """Run a step in a transaction."""
        with self._engine.begin() as connection:
            return operation(connection)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()
