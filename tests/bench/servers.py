"""What the gateway is measured against, and the other side of both: ``python -m tests.bench.servers NAME …``.

- ``bare``: a Starlette handler that only parses the body, on the gateway's server settings;
- ``inline``: a hand-written FastAPI handler that inserts a row and calls the REST service before it answers;
- ``sink``: a REST service that answers 201 to everything.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import uvloop
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.web.server import bind, serve_until_told
from gateway.web.signals import hearing


def bare() -> ASGIApp:
    """Return a handler that parses the body and answers with an empty 200."""

    async def receive(request: Any) -> Response:
        json.loads(await request.body())
        return Response(status_code=200)

    return Starlette(routes=[Route("/webhooks/doforms", receive, methods=["POST"])])


def inline(database: str, rest: str) -> ASGIApp:
    """Return what a developer would write by hand: insert, call, answer. As durable as the gateway: fsync a row."""
    connection = sqlite3.connect(database, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    writing = asyncio.Lock()
    clients: dict[str, httpx.AsyncClient] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=30.0) as clients["rest"]:
            yield

    app = FastAPI(lifespan=lifespan)

    def insert(key: str, record: str) -> None:
        with connection:
            connection.execute("INSERT INTO inspections (doforms_key, record_key) VALUES (?, ?)", (key, record))

    @app.post("/webhooks/doforms")
    async def receive(request: Request) -> dict[str, str]:
        notification = await request.json()
        async with writing:
            await asyncio.to_thread(insert, notification["key"], notification["submissionKey"])
        answer = await clients["rest"].post(
            f"{rest}/records", json={"key": notification["key"], "record": notification["submissionKey"]}
        )
        answer.raise_for_status()
        return {"status": "completed"}

    return app


class Sink(asyncio.Protocol):
    """Answers 201 to every request as fast as Python can."""

    _ANSWER = b'HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{"id":1}'

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            lower = head.lower()
            length = int(lower.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            self._transport.write(self._ANSWER)


async def serve(application: ASGIApp) -> None:
    """Serve on a free port and print it."""
    told = asyncio.Event()
    with bind("127.0.0.1", 0) as listening, hearing(stop=told.set, reload=lambda: None):
        print(listening.getsockname()[1], flush=True)
        await serve_until_told(application, listening, told=told, on_told=lambda: 1.0)


async def serve_inline(database: str, rest: str) -> None:
    """Serve the hand-written handler, with its lifespan."""
    application = inline(database, rest)
    assert isinstance(application, FastAPI)
    async with application.router.lifespan_context(application):
        await serve(application)


async def serve_sink() -> None:
    """Serve the REST service until killed."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["bare"]:
            uvloop.run(serve(bare()))
        case ["inline", file, url]:
            uvloop.run(serve_inline(file, url))
        case ["sink"]:
            uvloop.run(serve_sink())
