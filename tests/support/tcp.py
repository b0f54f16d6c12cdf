"""A server below HTTP: it answers each request with the bytes it is told to, or hangs up, or says nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class RawServer:
    """``script`` holds one answer for each request, the last one stays; None: nothing is said."""

    script: Sequence[bytes | None]
    scheme: str = "http"
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    """The head of each request."""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await _head(reader):
                answer = self.script[min(len(self.requests), len(self.script) - 1)]
                self.requests.append(head)
                if answer is None:
                    await self.over.wait()
                    return
                writer.write(answer)
                if b"keep-alive" not in answer:
                    return
        finally:
            writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    await reader.readexactly(length)
    return head


@asynccontextmanager
async def raw_server(*script: bytes | None, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Serve on loopback until the block ends."""
    made = RawServer(script, scheme="http" if tls is None else "https")
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.over.set()
        server.close()
        await server.wait_closed()


def unused_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
