"""Counts calls to doForms in memory and writes the counts every second."""

from __future__ import annotations

import asyncio
from enum import StrEnum

import structlog

from gateway.doforms.failures import Later, Quota
from gateway.store.engine.database import describe
from gateway.store.store import Store
from gateway.store.work import call_counts
from gateway.store.work.call_counts import Counts, Of, day_of

log = structlog.get_logger(__name__)

_EVERY = 1.0
"""Seconds for which counts are gathered."""


class CallKind(StrEnum):
    """What a call to doForms was made for."""

    FETCH = "fetch"
    """A record."""
    REPORT = "report"
    """Telling an outcome."""
    LISTING = "listing"
    """Which records doForms received."""
    DOWNLOAD = "download"
    """A photo or file of a record."""


class CallCounts:
    """What was counted and not written yet."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counted: dict[Of, Counts] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def count(self, webservice_id: str, kind: CallKind, error: BaseException | None = None) -> None:
        """Count a call that was made, and how it failed if it did."""
        of = (day_of(self._store.now()), webservice_id, kind.value)
        counts = self._counted.setdefault(of, Counts())
        counts.calls += 1
        if isinstance(error, Later) and error.too_many:
            counts.too_many += 1
        elif isinstance(error, Quota):
            counts.over_quota += 1
        elif error is not None:
            counts.failed += 1
        self._write_later()

    async def close(self) -> None:
        """Write what was counted."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await self._writing
        await self._write()

    def _write_later(self) -> None:
        if self._timer is None and self._writing is None:
            self._timer = asyncio.get_running_loop().call_later(_EVERY, self._begin_to_write)

    def _begin_to_write(self) -> None:
        self._timer = None
        self._writing = asyncio.create_task(self._write())
        self._writing.add_done_callback(self._written)

    def _written(self, _: asyncio.Task[None]) -> None:
        self._writing = None
        if self._counted:
            self._write_later()

    async def _write(self) -> None:
        counted, self._counted = self._counted, {}
        if not counted:
            return
        try:
            await self._store.write(lambda connection: call_counts.add(connection, counted))
        except Exception as error:
            log.warning("the calls to doForms could not be counted", error=describe(error))
