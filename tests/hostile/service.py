"""The REST service that deliveries go to: it takes everything, and answers well or as no service should."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.crash.routes import REFUSED
from tests.crash.service import Call
from tests.hostile.bombs import bomb

_BOMB = bomb(1500)
_GIVEN_UP = 10.0
"""Seconds that an answer goes on being written which nobody reads."""
_PATIENCE = 3
"""Bad answers to a delivery; one whose attempts go on to end alike is given up, rightly, and would spoil the books."""
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def _plain(status: str, *lines: str, body: bytes = b"{}") -> Answer:
    head = "\r\n".join((f"HTTP/1.1 {status}", *lines, "Connection: close")).encode() + b"\r\n\r\n"

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(head + body)
        await writer.drain()

    return write


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"g" * 65536 + b"\r\n")
        await writer.drain()


async def _dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"h")
        await writer.drain()
        await asyncio.sleep(0.1)


async def _silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(_GIVEN_UP)


WELL = _plain("201 Created", "Content-Length: 2")
BAD: Mapping[str, Answer] = {
    "a bomb": _plain("200 OK", "Content-Encoding: gzip", f"Content-Length: {len(_BOMB)}", body=_BOMB),
    "a body without end": _endless,
    "a dripping body": _dripping,
    "a body that is not gzip": _plain("201 Created", "Content-Encoding: gzip", "Content-Length: 2"),
    "a body that breaks off": _plain("200 OK", "Content-Length: 1000"),
    "a header of 60,000 bytes": _plain("200 OK", "X-Long: " + "i" * 60_000, "Content-Length: 2"),
    "two lengths": _plain("200 OK", "Content-Length: 2", "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"),
    "no HTTP": _plain("", body=b"\x00\x01\x02"),
    "silence": _silent,
    "down": _plain("503 Service Unavailable", "Content-Length: 2"),
}
_NOTHING_HAPPENED = BAD["down"]


@dataclass(slots=True)
class Service:
    """``answer`` is how it answers now."""

    answer: Answer = WELL
    calls: dict[str, Call] = field(default_factory=dict)
    """What happened, by ``Idempotency-Key`` in the order in which it happened first."""
    keyless: int = 0
    url: str = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Service]:
        """Serve until the block ends."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            answer = self._take(head[0].split(" ")[1].strip("/"), headers.get("idempotency-key"), body)
            async with asyncio.timeout(_GIVEN_UP):
                await answer(writer)
        writer.close()

    def _take(self, path: str, key: str | None, body: bytes) -> Answer:
        data, answer = json.loads(body), self.answer
        if answer is _NOTHING_HAPPENED or path == "aside":
            return answer if path != "aside" else WELL
        if data["notification"].endswith(REFUSED):
            return _plain("422 Unprocessable Content", "Content-Length: 2")
        if key is None:
            self.keyless += 1
            return answer
        known = self.calls.setdefault(key, Call(path, key, data["record"], data["notification"], data["seq"], []))
        known.bodies.append(body)
        return answer if len(known.bodies) <= _PATIENCE else WELL
