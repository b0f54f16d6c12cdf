"""Background tasks: kept alive, logged if they fail, waited for at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class BackgroundTasks:
    """The tasks of one part; ``broke_off`` is what the log says of one that failed."""

    def __init__(self, broke_off: str = "a step of the worker broke off; its lease will lapse") -> None:
        self._broke_off = broke_off
        self._tasks: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[asyncio.Task[None]]:
        return iter(tuple(self._tasks))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a step in the background."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def cancel(self) -> None:
        """Cancel all that are under way."""
        for task in self:
            task.cancel()

    async def wait(self) -> None:
        """Wait for all that are under way now."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(self._broke_off, error=str(error), exc_info=error)


async def finish(*groups: BackgroundTasks, within: float) -> None:
    """Wait up to so many seconds for what is under way, as long again for what follows, and cancel what is left."""
    for _ in range(2):
        if under_way := [task for group in groups for task in group]:
            await asyncio.wait(under_way, timeout=within)
    left = [task for group in groups for task in group]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
