"""Loads the routes file again: checked first, swapped whole; on any error the last good one stays in force."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from gateway.alarms.book import AlarmBook
from gateway.config.loaded import Routes
from gateway.errors import GatewayError, RoutesFileError
from gateway.models import AlarmKind
from gateway.store.store import Store

log = structlog.get_logger(__name__)


class Reloader:
    """Loads the routes when ``asked`` is set; when it is set while they are being loaded, once more afterwards.

    ``load`` reads and checks the file (in a thread), ``swap`` puts what it returned in force or raises `GatewayError`.
    """

    def __init__(
        self,
        file: Path,
        *,
        store: Store,
        load: Callable[[], Routes],
        swap: Callable[[Routes], Awaitable[None]],
        asked: asyncio.Event,
    ) -> None:
        self._file = file
        self._alarms = AlarmBook(store)
        self._load = load
        self._swap = swap
        self._asked = asked

    async def keep_reloading(self) -> None:
        """Load whenever asked, until cancelled. The routes that the gateway started with were good ones."""
        await self._clear()
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self.reload()

    async def reload(self) -> bool:
        """Load the file and put it in force; tell whether that worked."""
        try:
            routes = await asyncio.to_thread(self._load)
            await self._swap(routes)
        except GatewayError as error:
            await self._failed(error)
            return False
        except Exception as error:
            log.error("loading the routes file broke off", exc_info=error)
            await self._failed(error)
            return False
        await self._clear()
        return True

    async def _failed(self, error: Exception) -> None:
        problems = [str(one) for one in error.problems] if isinstance(error, RoutesFileError) else [str(error)]
        stays = "the routes that were loaded before stay in force"
        more = f" (and {len(problems) - 1} more, see the log or `gateway check`)" if len(problems) > 1 else ""
        text = f"{stays}: {problems[0]}{more}"
        try:
            await self._alarms.raise_alarm(AlarmKind.RELOAD_FAILED, str(self._file), text)
        except Exception as failure:
            log.warning("the alarm could not be raised", error=str(failure))
        log.error(f"reload failed: {stays}", file=str(self._file), problems=problems)

    async def _clear(self) -> None:
        try:
            await self._alarms.clear(AlarmKind.RELOAD_FAILED, str(self._file))
        except Exception as failure:
            log.warning("an alarm could not be cleared", kind=AlarmKind.RELOAD_FAILED, error=str(failure))
