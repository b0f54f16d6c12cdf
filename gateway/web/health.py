"""Health for whoever runs the process: alive, and ready to take notifications."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from sqlalchemy import Connection, text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.delivery.work import Work
from gateway.store.engine import say
from gateway.store.store import Store

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
        worker: Work,
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
        self._look: asyncio.Task[None] | None = None
        self._looked_at = 0.0

    async def alive(self, request: Request) -> Response:
        """Answer 200: the process runs and its event loop turns."""
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Answer 200 if the store commits, else 503.

        Told as well are destinations that are down, which does not stop receiving, and what there is no room for.
        """
        destinations = {name: reason or "ready" for name, reason in self._worker.obstacles().items()}
        more: dict[str, object] = {"destinations": destinations}
        if self._full is not None and (why := self._full()) is not None:
            more["receiving"] = why
        if (strain := self._strained()) is not None:
            more["connections"] = strain
        try:
            async with asyncio.timeout(_WITHIN):
                await asyncio.shield(self._look_at_store())
        except Exception as error:
            reason = self._store.trouble or (
                say(error) if not isinstance(error, TimeoutError) else f"the store did not commit within {_WITHIN:g} s"
            )
            return JSONResponse({"status": "not ready", "store": reason} | more, 503)
        return JSONResponse({"status": "ready", "store": "ready"} | more)

    def _look_at_store(self) -> asyncio.Task[None]:
        now = time.monotonic()
        if self._look is None or (self._look.done() and now - self._looked_at >= _SHARED_FOR):
            self._look = asyncio.create_task(self._store.write(_commit))
            self._look.add_done_callback(lambda look: look.cancelled() or look.exception())  # told, if anybody asks
            self._looked_at = now
        return self._look


def _commit(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))
