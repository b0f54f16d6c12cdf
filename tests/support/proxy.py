"""A real HTTP proxy on loopback: it opens tunnels (CONNECT), passes plain requests on, and can want a login."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class ProxyServer:
    """What a proxy was asked for; every name leads to loopback here."""

    login: str | None = None
    status: int = 200
    """What it answers to CONNECT; 200 opens the tunnel."""
    port: int = 0
    asked: list[str] = field(default_factory=list)
    """Method and target of each request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._pass(reader, writer)
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.asked.append(f"{method} {target}")
        if self.login is not None:
            wanted = f"Proxy-Authorization: Basic {base64.b64encode(self.login.encode()).decode()}\r\n"
            if wanted.lower() not in head.decode().lower():
                return await _say(writer, 407, "Proxy-Authenticate: Basic")
        if self.status != 200:
            return await _say(writer, self.status, "X-Why: no")
        if method == "CONNECT":
            port = int(target.rpartition(":")[2])
            back, onward = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            parts = urlsplit(target)
            back, onward = await asyncio.open_connection("127.0.0.1", parts.port or 80)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            once = re.sub(rb"(?i)\r\nconnection: keep-alive", b"\r\nConnection: close", head)
            onward.write(once.replace(target.encode(), path.encode() or b"/", 1))
        await asyncio.gather(_pump(reader, onward), _pump(back, writer))
        return None


async def _say(writer: asyncio.StreamWriter, status: int, header: str) -> None:
    writer.write(f"HTTP/1.1 {status} No\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while said := await reader.read(65_536):
            writer.write(said)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def proxy_server(*, login: str | None = None, status: int = 200) -> AsyncIterator[ProxyServer]:
    """Serve until the block ends; ``login`` is ``user:password``."""
    made = ProxyServer(login=login, status=status)
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
