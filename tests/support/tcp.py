"""A server below HTTP: it answers each request with the bytes it is told to, or hangs up, or says nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
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


@dataclass
class Relay:
    """Stands between clients and a server, and cuts a connection where the client says a word."""

    target: int
    cut_at: bytes | None
    passed_on: bool
    """Whether the server hears the word, so that only its answer is lost."""
    port: int = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, onward = await asyncio.open_connection("127.0.0.1", self.target)
        back = asyncio.create_task(self._pass_back(answers, writer))
        try:
            while said := await reader.read(65_536):
                if self.cut_at is not None and self.cut_at in said:
                    back.cancel()
                    if self.passed_on:
                        onward.write(said)
                        await answers.read(65_536)
                    return
                onward.write(said)
        except ConnectionError:
            pass
        finally:
            back.cancel()
            onward.close()
            writer.close()

    async def _pass_back(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while answer := await answers.read(65_536):
                writer.write(answer)
        writer.close()


@asynccontextmanager
async def relay(target: int, *, cut_at: bytes | None, passed_on: bool) -> AsyncIterator[Relay]:
    """Relay to a port of loopback until the block ends."""
    made = Relay(target, cut_at, passed_on)
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()


@dataclass
class SilentRelay:
    """Stands between clients and a server's socket, and can keep the clients' side open when the server's has ended."""

    socket: str
    port: int = 0
    deaf: bool = False
    """New connections are taken and led nowhere."""
    _onward: list[tuple[asyncio.StreamWriter, list[asyncio.Task[None]]]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def fall_silent(self) -> None:
        """End the server's side of what is open; the clients hear nothing, neither an answer nor the end."""
        for writer, tasks in self._onward:
            for task in tasks:
                task.cancel()
            writer.close()
        self._onward.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.deaf:
            answers, onward = await asyncio.open_unix_connection(self.socket)
            both = [asyncio.create_task(_pass(reader, onward)), asyncio.create_task(_pass(answers, writer))]
            self._onward.append((onward, both))
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not any(task.cancelled() for task in both):
                onward.close()
                writer.close()
                return
        await self.over.wait()
        writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while said := await reader.read(65_536):
            writer.write(said)
            await writer.drain()


@asynccontextmanager
async def silent_relay(socket: str) -> AsyncIterator[SilentRelay]:
    """Relay to a socket of this machine until the block ends."""
    made = SilentRelay(socket)
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.over.set()
        made.fall_silent()
        server.close()
