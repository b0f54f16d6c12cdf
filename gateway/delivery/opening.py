"""Opens a destination, and tries again until it works; says meanwhile why it is not open."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from gateway.delivery.pipeline import Pipeline
from gateway.destinations.faults import RAISED, describe_fault, is_ours, shorten, text_of, traceback_of
from gateway.errors import DeliveryError, Misconfigured, Unavailable
from gateway.log import Mask
from gateway.pauses import Cause, Kind, Pauses
from gateway.store.engine.database import describe

log = structlog.get_logger(__name__)

_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
"""Seconds between two tries."""
_SLOW = 2.0
"""Seconds after which an `open` that has no end is told."""
_ALARM_AFTER = 600.0
"""Seconds without being open that raise an alarm."""
_LONGEST = 2000
"""Characters of a reason."""


class Opener:
    """Opens destinations; ``within`` is how many seconds one try may take."""

    def __init__(
        self, *, pauses: Pauses, mask: Mask, within: float, slow: float = _SLOW, alarm_after: float = _ALARM_AFTER
    ) -> None:
        self._pauses = pauses
        self._mask = mask
        self._within = within
        self._slow = slow
        self._alarm_after = alarm_after

    async def open(self, pipeline: Pipeline) -> None:
        """Open the destination of a pipeline; returns when it is open."""
        began, wait = time.monotonic(), _FIRST_WAIT
        while (error := await self._try(pipeline, began)) is not None:
            pause = _wish_of(error) or wait
            await self._tell(pipeline, error, began, pause)
            await asyncio.sleep(pause)
            wait = min(2 * wait, _LONGEST_WAIT)
        pipeline.opened, pipeline.unopened = True, None
        await self._write(self._pauses.opened(pipeline.entry.name))

    async def gave_up(self, name: str) -> None:
        """Note that nobody tries any more to open a destination: the gateway ends, or its settings have changed."""
        await self._write(self._pauses.no_longer_opening(name))

    async def _try(self, pipeline: Pipeline, began: float) -> BaseException | None:
        limit = asyncio.timeout(self._within)
        try:
            async with self._telling_slowness(pipeline, began), limit:
                await pipeline.entry.instance.open()
        except RAISED as error:
            if is_ours(error) and not limit.expired():
                raise
            return Unavailable(f"open() had no end within {self._within:g} s") if limit.expired() else error
        return None

    @asynccontextmanager
    async def _telling_slowness(self, pipeline: Pipeline, began: float) -> AsyncIterator[None]:
        async def tell() -> None:
            await asyncio.sleep(self._slow)
            while True:
                pipeline.unopened = pipeline.unopened or "open() has no end yet"
                await self._note(pipeline, began, None)
                await asyncio.sleep(_LONGEST_WAIT)

        telling = asyncio.create_task(tell())
        try:
            yield
        finally:
            telling.cancel()

    async def _tell(self, pipeline: Pipeline, error: BaseException, began: float, wait: float) -> None:
        """Say why a destination could not be opened; what only a person can mend pauses it."""
        name, plugin = pipeline.entry.name, pipeline.entry.plugin
        bug = not isinstance(error, DeliveryError)
        text = f"a bug of the plugin {plugin}: {describe_fault(error)} in open()" if bug else text_of(error)
        told = shorten(self._mask.text(text or type(error).__name__), _LONGEST)
        level = log.warning if isinstance(error, Unavailable) else log.error
        level(
            "destination could not be opened",
            destination=name,
            plugin=plugin,
            error=told,
            exception=traceback_of(error) if bug else None,
        )
        pipeline.unopened = told
        if bug or isinstance(error, Misconfigured):
            await self._write(self._pauses.pause(Kind.DESTINATION, name, told, cause=Cause.MISCONFIGURED))
        else:
            await self._note(pipeline, began, wait)

    async def _note(self, pipeline: Pipeline, began: float, wait: float | None) -> None:
        """Write down why a destination is not open, for lists; after a while an alarm is raised too."""
        alarm = time.monotonic() - began >= self._alarm_after
        reason = pipeline.unopened or ""
        await self._write(self._pauses.opening(pipeline.entry.name, reason, next_in=wait, alarm=alarm))

    async def _write(self, writing: Coroutine[Any, Any, None]) -> None:
        """Write to the store; what keeps it from being written must not keep the destination from being opened."""
        try:
            await writing
        except Exception as error:
            log.warning("how a destination stands could not be written", error=describe(error))


def _wish_of(error: BaseException) -> float | None:
    """Return after how many seconds a destination wants to be opened again, within bounds."""
    try:
        wish = error.retry_after if isinstance(error, Unavailable) else None
        if isinstance(wish, int | float) and math.isfinite(wish) and wish >= 0:
            return min(max(float(wish), _FIRST_WAIT), _LONGEST_WAIT)
    except RAISED:
        pass  # no number that could be waited for
    return None
