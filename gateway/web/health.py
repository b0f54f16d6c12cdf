"""Health for whoever runs the process: alive, and ready to take notifications."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog
from sqlalchemy import Connection, text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.delivery.work import Work
from gateway.store.engine import say
from gateway.store.store import Store

log = structlog.get_logger(__name__)

_WITHIN = 2.0
"""Seconds in which a ready store commits."""


class Health:
    """``/healthz`` and ``/readyz``."""

    def __init__(self, *, store: Store, worker: Work, full: Callable[[], str | None] | None) -> None:
        """Look at these; ``full`` tells why there is no room for new notifications, None: nobody receives here."""
        self._store = store
        self._worker = worker
        self._full = full
        self._told: set[str] = set()

    async def alive(self, request: Request) -> Response:
        """Answer 200: the process runs and its event loop turns."""
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Answer 200 if the store commits, else 503.

        Told as well are destinations that are down, which does not stop receiving, and whether there is room. Whoever
        asks is a stranger, who is told that a part is not ready but not why: that is in the log.
        """
        obstacles = self._worker.obstacles()
        reasons = {f"destination {name}": reason for name, reason in obstacles.items() if reason is not None}
        parts: dict[str, object] = {"destinations": {name: _say(reason) for name, reason in obstacles.items()}}
        if self._full is not None and (why := self._full()) is not None:
            parts["receiving"], reasons["receiving"] = _say(why), why
        if (trouble := await self._trouble()) is not None:
            reasons["store"] = trouble
        self._tell(reasons)
        status = _say(trouble)
        return JSONResponse({"status": status, "store": status} | parts, 200 if trouble is None else 503)

    async def _trouble(self) -> str | None:
        """Say why the store does not commit; None: it does."""
        try:
            async with asyncio.timeout(_WITHIN):
                await self._store.write(_commit)
        except TimeoutError:
            return self._store.trouble or f"the store did not commit within {_WITHIN:g} s"
        except Exception as error:
            return self._store.trouble or say(error)
        return None

    def _tell(self, reasons: Mapping[str, str]) -> None:
        """Log which part is not ready, and why, when that has changed."""
        for part in reasons.keys() - self._told:
            log.warning("not ready", part=part, reason=reasons[part])
        for part in self._told - reasons.keys():
            log.info("ready again", part=part)
        self._told = set(reasons)


def _say(reason: str | None) -> str:
    return "ready" if reason is None else "not ready"


def _commit(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))
