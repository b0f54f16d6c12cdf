"""The receivers of the demo: a REST service and a mail server that keep what they get."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.errors import SettingsError
from gateway.web.server import serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A request that the REST service got."""

    method: str
    path: str
    key: str | None
    """Its ``Idempotency-Key``."""
    body: Any


@dataclass(slots=True)
class RestSink:
    """A REST service: ``/records`` takes objects, ``/slow`` takes its time, ``/closed`` refuses everything."""

    slow: float = 3.0
    """Seconds that ``/slow`` takes."""
    taken: list[Taken] = field(default_factory=list)
    url: str = ""

    @property
    def effects(self) -> dict[str, Taken]:
        """What came of the requests: one for each idempotency key, as a careful service does it."""
        return {one.key: one for one in self.taken if one.key is not None and not one.path.startswith("/closed")}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[RestSink]:
        """Serve until the block ends."""
        routes = [
            Route("/records", self._records, methods=["POST", "PUT", "DELETE"]),
            Route("/slow", self._slow, methods=["POST"]),
            Route("/closed", self._closed, methods=["POST"]),
        ]
        async with serving(Starlette(routes=routes)) as self.url:
            yield self

    async def _take(self, request: Request) -> int:
        body = await request.body()
        self.taken.append(
            Taken(
                method=request.method,
                path=request.url.path,
                key=request.headers.get("idempotency-key"),
                body=json.loads(body) if body else None,
            )
        )
        return len(self.taken)

    async def _records(self, request: Request) -> Response:
        return JSONResponse({"id": await self._take(request)}, 201)

    async def _slow(self, request: Request) -> Response:
        number = await self._take(request)
        await asyncio.sleep(self.slow)
        return JSONResponse({"id": number}, 201)

    async def _closed(self, request: Request) -> Response:
        await self._take(request)
        return JSONResponse({"error": "this period is closed"}, 422)


@dataclass(slots=True)
class MailSink:
    """A mail server that writes each mail to a file."""

    folder: Path
    port: int = 0

    @property
    def mails(self) -> list[Path]:
        """The files of the mails that came, in order."""
        return sorted(self.folder.glob("*.eml"))

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[MailSink]:
        """Serve until the block ends.

        Raises:
            SettingsError: aiosmtpd is not installed.
        """
        try:
            from aiosmtpd.smtp import SMTP
        except ImportError:
            raise SettingsError("the demo needs a mail server: pip install 'doforms-gateway[demo]'") from None
        self.folder.mkdir(parents=True, exist_ok=True)
        server = await asyncio.get_running_loop().create_server(lambda: SMTP(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Keep a mail; called by aiosmtpd."""
        name = f"{len(self.mails) + 1:04}.eml"
        (self.folder / name).write_bytes(envelope.content)
        return f"250 kept as {name}"
