"""``/healthz`` and ``/readyz``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog
from sqlalchemy import Connection, text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.intake.deliverer import Deliverer
from gateway.store.engine.database import describe
from gateway.store.store import Store

log = structlog.get_logger(__name__)

_WITHIN = 2.0
"""Seconds in which a ready store commits."""
_SHARED_FOR = 0.25
"""Seconds for which one look at the store answers everybody who asks: anybody may, at any speed."""


class Health:
    """``/healthz`` and ``/readyz``."""

    def __init__(
        self,
        *,
        store: Store,
        worker: Deliverer,
        full: Callable[[], str | None] | None,
        strained: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Look at these.

        ``full`` tells why there is no room for new notifications, None: nobody receives here; ``strained`` what
        strangers do to the door.
        """
        self._store = store
        self._worker = worker
        self._full = full
        self._strained = strained
        self._told: set[str] = set()
        self._look: asyncio.Task[None] | None = None
        self._looked_at = 0.0

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
        if (strain := self._strained()) is not None:
            parts["connections"], reasons["connections"] = _say(strain), strain
        if (trouble := await self._trouble()) is not None:
            reasons["store"] = trouble
        self._tell(reasons)
        status = _say(trouble)
        return JSONResponse({"status": status, "store": status} | parts, 200 if trouble is None else 503)

    async def _trouble(self) -> str | None:
        """Say why the store does not commit; None: it does."""
        try:
            async with asyncio.timeout(_WITHIN):
                await asyncio.shield(self._look_at_store())
        except TimeoutError:
            return self._store.trouble or f"the store did not commit within {_WITHIN:g} s"
        except Exception as error:
            return self._store.trouble or describe(error)
        return None

    def _look_at_store(self) -> asyncio.Task[None]:
        now = time.monotonic()
        if self._look is None or (self._look.done() and now - self._looked_at >= _SHARED_FOR):
            self._look = asyncio.create_task(self._store.write(_commit))
            self._look.add_done_callback(lambda look: look.cancelled() or look.exception())  # told, if anybody asks
            self._looked_at = now
        return self._look

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
