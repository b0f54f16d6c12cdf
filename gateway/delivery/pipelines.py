"""The pipelines of the destinations that are loaded: opened in the background, swapped by a reload, at last closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping

import structlog

from gateway.delivery.pauses import Cause, Kind, Pauses
from gateway.delivery.pipeline import Pipeline
from gateway.delivery.prepare import Job
from gateway.destinations.faults import RAISED, is_cancelled, say_fault
from gateway.errors import DeliveryError, Misconfigured, Unavailable
from gateway.log import Mask
from gateway.routing.loaded import DestinationEntry

log = structlog.get_logger(__name__)

_OPENED_WITHIN = 60.0
"""Seconds that a destination gets to open, before it is tried again."""
_CLOSED_WITHIN = 1.0
"""Seconds that a destination gets to close at the end, beyond what is left of the grace."""


class Pipelines:
    """One pipeline for each destination; ``make`` builds one, ``on_opened`` is called when one may be claimed for."""

    def __init__(
        self,
        *,
        make: Callable[[DestinationEntry], Pipeline],
        pauses: Pauses,
        mask: Mask,
        on_opened: Callable[[], None],
        opened_within: float = _OPENED_WITHIN,
    ) -> None:
        self._make = make
        self._mask = mask
        self._opened_within = opened_within
        self._pauses = pauses
        self._on_opened = on_opened
        self._by_name: dict[str, Pipeline] = {}
        self._opening: dict[Pipeline, asyncio.Task[None]] = {}
        self._retiring: dict[Pipeline, asyncio.Task[None]] = {}

    def get(self, name: str) -> Pipeline | None:
        """Return the pipeline of a destination that is loaded."""
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[tuple[str, Pipeline]]:
        return iter(self._by_name.items())

    def load(self, entries: Mapping[str, DestinationEntry]) -> list[Job]:
        """Take over the destinations; returns the deliveries that had not been started, to be led anew.

        One whose entry carries the instance that is at work already stays as it is. Any other is opened, and the one
        that it replaces is closed after its sends have ended.
        """
        unsent: list[Job] = []
        for name in [name for name in self._by_name if name not in entries]:
            unsent += self._retire(self._by_name.pop(name))
        for name, entry in entries.items():
            there = self._by_name.get(name)
            if there is not None and there.entry.instance is entry.instance:
                unsent += there.take_back()
                there.load(entry)
                continue
            if there is not None:
                unsent += self._retire(there)
            self._by_name[name] = pipeline = self._make(entry)
            self._opening[pipeline] = asyncio.create_task(self._open(pipeline))
        return unsent

    def stop(self) -> list[Job]:
        """Start nothing more; returns what had not been started."""
        return [job for pipeline in self._by_name.values() for job in pipeline.stop()]

    async def finish(self, until: float) -> None:
        """Let what is being sent end until then (by `time.monotonic`), and close every destination."""
        for opening in self._opening.values():
            opening.cancel()
        standing = list(self._by_name.values())
        await asyncio.gather(*(pipeline.finish(until) for pipeline in (*standing, *self._retiring)))
        closing = [*(asyncio.create_task(_close(pipeline)) for pipeline in standing), *self._retiring.values()]
        if closing:
            await asyncio.wait(closing, timeout=max(0.0, until - time.monotonic()) + _CLOSED_WITHIN)

    def _retire(self, pipeline: Pipeline) -> list[Job]:
        if (opening := self._opening.pop(pipeline, None)) is not None:
            opening.cancel()
        task = self._retiring[pipeline] = asyncio.create_task(self._see_off(pipeline))
        task.add_done_callback(lambda _: self._retiring.pop(pipeline, None))
        return pipeline.stop()

    async def _see_off(self, pipeline: Pipeline) -> None:
        await pipeline.finish()
        await _close(pipeline)

    async def _open(self, pipeline: Pipeline) -> None:
        wait = 1.0
        name = pipeline.entry.name
        while (error := await self._try_to_open(pipeline)) is not None:
            await self._tell_unopened(pipeline, error)
            await asyncio.sleep(wait)
            wait = min(2 * wait, 60.0)
        pipeline.opened = True
        self._opening.pop(pipeline, None)
        await self._pauses.resume_if(Kind.DESTINATION, name, Cause.MISCONFIGURED)
        self._on_opened()

    async def _try_to_open(self, pipeline: Pipeline) -> BaseException | None:
        limit = asyncio.timeout(self._opened_within)
        try:
            async with limit:
                await pipeline.entry.instance.open()
        except (*RAISED, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            return Unavailable(f"open() had no end within {self._opened_within:g} s") if limit.expired() else error
        return None

    async def _tell_unopened(self, pipeline: Pipeline, error: BaseException) -> None:
        """Say why a destination could not be opened; what only a person can mend pauses it."""
        name, plugin = pipeline.entry.name, pipeline.entry.plugin
        bug = not isinstance(error, DeliveryError)
        told = self._mask.text(f"a bug of the plugin {plugin}: {say_fault(error)} in open()" if bug else str(error))
        level = log.warning if isinstance(error, Unavailable) else log.error
        level(
            "destination could not be opened",
            destination=name,
            plugin=plugin,
            error=told,
            exc_info=error if bug else None,
        )
        pipeline.unopened = told
        if bug or isinstance(error, Misconfigured):
            await self._pauses.pause(Kind.DESTINATION, name, told, cause=Cause.MISCONFIGURED)


async def _close(pipeline: Pipeline) -> None:
    entry = pipeline.entry
    try:
        await entry.instance.close()
    except RAISED as error:
        told = say_fault(error)
        log.warning("destination could not be closed", destination=entry.name, plugin=entry.plugin, error=told)
