"""Single flight: work that several deliveries ask for at once is done once for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Waits = Callable[[], None]
"""Called by work from where on it may wait for long."""
Aside = Callable[[], AbstractContextManager[None]]
"""Entered by whoever asked while that lasts."""


class SingleFlight(Generic[T]):
    """The work that is under way, by notification; who goes away who asked for it breaks off nothing."""

    def __init__(self) -> None:
        self._tasks: dict[int, tuple[asyncio.Task[T], asyncio.Event]] = {}

    async def ask(self, id_: int, work: Callable[[Waits], Coroutine[Any, Any, T]], *, aside: Aside = nullcontext) -> T:
        """Return what the work for a notification comes to; ``work`` begins it, unless it is under way."""
        if id_ not in self._tasks:
            waits = asyncio.Event()
            task = asyncio.create_task(work(waits.set))
            self._tasks[id_] = task, waits
            task.add_done_callback(partial(self._ended, id_))
        task, waits = self._tasks[id_]
        await waits.wait()
        with nullcontext() if task.done() else aside():
            return await asyncio.shield(task)

    async def stop(self) -> None:
        """Break off all that is under way."""
        tasks = [task for task, _ in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, id_: int, task: asyncio.Task[T]) -> None:
        _, waits = self._tasks.pop(id_)
        waits.set()
        if not task.cancelled():
            task.exception()  # looked at: whoever asked may have gone meanwhile
