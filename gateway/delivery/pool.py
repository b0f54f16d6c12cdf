"""The pipelines of all loaded destinations: opened in the background, swapped by a reload, closed at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping

import structlog

from gateway.config.loaded import DestinationEntry
from gateway.delivery.availability import Availability, availability
from gateway.delivery.flow import FlowControl
from gateway.delivery.opening import Opener
from gateway.delivery.pipeline import Pipeline
from gateway.delivery.preparing.prepare import Job
from gateway.destinations.faults import RAISED, describe_fault, is_ours
from gateway.log import Mask
from gateway.pauses import Kind, Pauses

log = structlog.get_logger(__name__)

_OPENED_WITHIN = 60.0
"""Seconds that a destination gets to open, before it is tried again."""
_CLOSED_WITHIN = 30.0
"""Seconds that a destination gets to close, after a reload or at the end."""
_CLOSED_AT_THE_END = 1.0
"""Seconds that it gets at the end, beyond what is left of the grace."""


class PipelinePool:
    """One pipeline for each destination; ``make`` builds one. Knows how each destination stands."""

    def __init__(
        self,
        *,
        make: Callable[[DestinationEntry], Pipeline],
        pauses: Pauses,
        mask: Mask,
        flow: FlowControl,
        opened_within: float = _OPENED_WITHIN,
        closed_within: float = _CLOSED_WITHIN,
    ) -> None:
        self._make = make
        self._mask = mask
        self._pauses = pauses
        self._opener = Opener(pauses=pauses, mask=mask, within=opened_within)
        self._closed_within = closed_within
        self._flow = flow
        self._stopping = False
        self._by_name: dict[str, Pipeline] = {}
        self._opening: dict[Pipeline, asyncio.Task[None]] = {}
        self._retiring: dict[Pipeline, asyncio.Task[None]] = {}

    def get(self, name: str) -> Pipeline | None:
        """Return the pipeline of a destination that is loaded."""
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[tuple[str, Pipeline]]:
        return iter(self._by_name.items())

    def availability(self, destination: str) -> Availability:
        """Return how a destination stands."""
        return availability(destination, self._by_name.get(destination), self._pauses, stopping=self._stopping)

    def capacities(self) -> dict[str, int]:
        """Return how many deliveries each destination may be given; those that take none are left out."""
        return {name: most for name in self._by_name if (most := self.availability(name).capacity) > 0}

    def take_back_stalled(self) -> list[Job]:
        """Take back what waits for destinations that take nothing now, so that its leases need not be renewed."""
        return [
            job
            for name, pipeline in self._by_name.items()
            if pipeline.breaker.is_open or self._pauses.reason(Kind.DESTINATION, name) is not None
            for job in pipeline.take_back()
        ]

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
        self._stopping = True
        return [job for pipeline in self._by_name.values() for job in pipeline.stop()]

    async def finish(self, until: float) -> None:
        """Let what is being sent end until then (by `time.monotonic`), and close every destination."""
        for opening in self._opening.values():
            opening.cancel()
        for pipeline in self._opening:
            await self._opener.gave_up(pipeline.entry.name)
        standing = list(self._by_name.values())
        await asyncio.gather(*(pipeline.finish(until) for pipeline in (*standing, *self._retiring)))
        closing = [
            *(asyncio.create_task(_close(pipeline, self._closed_within, self._mask)) for pipeline in standing),
            *self._retiring.values(),
        ]
        if closing:
            await asyncio.wait(closing, timeout=max(0.0, until - time.monotonic()) + _CLOSED_AT_THE_END)

    def _retire(self, pipeline: Pipeline) -> list[Job]:
        if (opening := self._opening.pop(pipeline, None)) is not None:
            opening.cancel()  # what the lists say of it ends with the reload
        task = self._retiring[pipeline] = asyncio.create_task(self._see_off(pipeline))
        task.add_done_callback(lambda _: self._retiring.pop(pipeline, None))
        return pipeline.stop()

    async def _see_off(self, pipeline: Pipeline) -> None:
        await pipeline.finish()
        if pipeline.breaker.is_open:  # the one in its place begins anew
            await self._pauses.is_back(pipeline.entry.name)
        await _close(pipeline, self._closed_within, self._mask)

    async def _open(self, pipeline: Pipeline) -> None:
        await self._opener.open(pipeline)
        self._opening.pop(pipeline, None)
        self._flow.wake()


async def _close(pipeline: Pipeline, within: float, mask: Mask) -> None:
    entry = pipeline.entry
    limit = asyncio.timeout(within)
    try:
        async with limit:
            await entry.instance.close()
    except RAISED as error:
        if is_ours(error) and not limit.expired():
            raise
        told = f"close() had no end within {within:g} s" if limit.expired() else mask.text(describe_fault(error))
        log.warning("destination could not be closed", destination=entry.name, plugin=entry.plugin, error=told)
