"""The REST service that deliveries go to: it honours ``Idempotency-Key`` and has bad days on order."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.web.server import serving
from tests.crash.routes import REFUSED

KILLER = "killer"
"""The path at which a notification can be deadly."""


class Mood(StrEnum):
    """How the service answers."""

    WELL = "well"
    """201, at once."""
    DOWN = "down"
    """503; nothing happens."""
    BUSY = "busy"
    """429 with ``Retry-After``; nothing happens."""
    SLOW = "slow"
    """It happens, and the answer takes its time."""
    ODD = "odd"
    """It happens, and the answer is a 500."""
    CUT = "cut"
    """It happens, and the answer breaks off half-way."""


@dataclass(slots=True)
class Call:
    """A request that was taken: what happened once for its ``Idempotency-Key``."""

    path: str
    key: str
    record: str
    notification: str
    seq: int
    bodies: list[bytes]
    """One for each time that it was sent."""


class _CutOff(Response):
    """A response that ends before its declared length, so that the connection breaks."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"{"})


@dataclass(slots=True)
class Service:
    """``mood`` is how it answers now: mostly, for even a bad day has good moments."""

    chance: random.Random
    mood: Mood = Mood.WELL
    calls: dict[str, Call] = field(default_factory=dict)
    """What happened, by ``Idempotency-Key`` in the order in which it happened first."""
    keyless: int = 0
    kill: Callable[[int], None] = lambda number: None
    """Kills the gateway of a number."""
    deadly_next: bool = False
    """Whether the next new notification that comes to ``killer`` is deadly."""
    deadly: dict[str, int] = field(default_factory=dict)
    """How often each deadly notification came."""
    url: str = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Service]:
        """Serve until the block ends."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it would tell of each answer that breaks off
        routes = [Route("/{path}", self._take, methods=["POST"])]
        async with serving(Starlette(routes=routes)) as self.url:
            yield self

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        data = json.loads(body)
        mood = self.mood if self.chance.random() < 0.8 else Mood.WELL
        if request.path_params["path"] == KILLER:
            if self._is_deadly(data["notification"], request.headers["idempotency-key"]):
                self.kill(int(request.headers["x-gateway"]))
                return Response(status_code=500)  # nobody reads it
            mood = Mood.WELL  # what gives up after few attempts has no bad day beside that
        if mood is Mood.DOWN:
            return Response(status_code=503)
        if mood is Mood.BUSY:
            return Response(status_code=429, headers={"Retry-After": "1"})
        if data["notification"].endswith(REFUSED):
            return JSONResponse({"error": "this period is closed"}, 422)
        self._note(request, data, body)
        if mood is Mood.SLOW:
            await asyncio.sleep(self.chance.uniform(0.2, 1.5))
        if mood is Mood.ODD:
            return Response(status_code=500)
        return _CutOff() if mood is Mood.CUT else JSONResponse({"taken": True}, 201)

    def _is_deadly(self, notification: str, key: str) -> bool:
        if self.deadly_next and key not in self.calls and not notification.endswith(REFUSED):
            self.deadly_next = False
            self.deadly[notification] = 0
        if notification not in self.deadly:
            return False
        self.deadly[notification] += 1
        return True

    def _note(self, request: Request, data: dict[str, Any], body: bytes) -> None:
        key = request.headers.get("idempotency-key")
        if key is None:
            self.keyless += 1
            return
        path = request.path_params["path"]
        known = self.calls.setdefault(key, Call(path, key, data["record"], data["notification"], data["seq"], []))
        known.bodies.append(body)
