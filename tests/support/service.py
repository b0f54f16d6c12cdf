"""A REST service that is down until it is mended, and notes how it is treated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.web.server import serving


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that it got; ``at`` is monotonic."""

    key: str
    body: Any
    at: float
    status: int


@dataclass
class Service:
    """``/records`` answers each POST with ``status`` after ``delay`` seconds."""

    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    most_at_once: int = 0
    _at_once: int = 0

    @property
    def taken(self) -> list[Asked]:
        """The requests that it took."""
        return [one for one in self.asked if one.status < 300]

    def destination(self, more: str = "") -> str:
        """Return what the routes file says of it: a destination named ``mended``."""
        retry = "" if "retry" in more else 'retry = { first = "100ms", max = "200ms" }\n'
        return f'\n[destinations.mended]\nplugin = "rest"\nurl = "{self.url}"\n{retry}{more}\n'

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            key, body = request.headers["idempotency-key"], await request.json()
            self.asked.append(Asked(key=key, body=body, at=time.monotonic(), status=self.status))
            status, headers = self.status, dict(self.headers)
            await asyncio.sleep(self.delay)
            return Response(status_code=status, headers=headers)
        finally:
            self._at_once -= 1


@asynccontextmanager
async def serve() -> AsyncIterator[Service]:
    """Serve on loopback until the block ends."""
    made = Service()
    async with serving(Starlette(routes=[Route("/records", made.answer, methods=["POST"])])) as made.url:
        yield made
