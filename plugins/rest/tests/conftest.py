"""A real HTTP service on loopback that answers as it is told, and deliveries to send to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import trustme
from gateway_rest import Rest
from gateway_rest.options import RestOptions, RestSettings

from gateway.api import Delivery, Event, Record
from gateway.testing import make_context, make_delivery, make_notification, make_record, rendered

HANG_UP = b""


@dataclass(frozen=True)
class Heard:
    """One request as it came over the wire."""

    connection: int
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found.lower() == name.lower()]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Service:
    """A server that answers 200 unless told otherwise."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    _answers: list[bytes | None] = field(default_factory=list)
    _connections: int = 0
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer a coming request so; ``retry_after="3"`` is the header Retry-After."""
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.say("\r\n".join([*lines, "", ""]).encode() + body)

    def say(self, raw: bytes) -> None:
        """Say this to a coming request, then hang up if it is no whole answer."""
        self._answers.append(raw)

    def hang_up(self) -> None:
        """Close the connection when a coming request has been read."""
        self.say(HANG_UP)

    def stay_silent(self) -> None:
        """Never answer a coming request."""
        self._answers.append(None)

    async def next_heard(self) -> None:
        """Wait until one more request has come."""
        self._came.clear()
        await asyncio.wait_for(self._came.wait(), 5)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._connections += 1
        number = self._connections
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._exchange(number, reader, writer):
                pass
        writer.close()

    async def _exchange(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        method, target, _ = first.split(" ")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        self.heard.append(Heard(number, method, target, headers, await reader.readexactly(length)))
        self._came.set()
        raw = self._answers.pop(0) if self._answers else b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        if raw is None:
            await asyncio.sleep(60)
        writer.write(raw or b"")
        await writer.drain()
        return raw != HANG_UP and b"\r\nContent-Length:" in raw and b"cut off" not in raw


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    """Start a service: ``await serve(tls=…)``."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*, tls: ssl.SSLContext | None = None) -> Service:
            made = Service()
            tasks: set[asyncio.Task[None]] = set()

            def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                tasks.add(asyncio.ensure_future(made.talk(reader, writer)))

            server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
            stack.callback(lambda: [task.cancel() for task in tasks])
            stack.callback(server.close)
            scheme = "https" if tls else "http"
            made.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return made

        yield start


@pytest.fixture
async def service(serve: Callable[..., Any]) -> Service:
    return await serve()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The authority in both ways that ``ca`` takes it."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return {"path": str(path), "text": path.read_text()}


@pytest.fixture
def certified(authority: trustme.CA) -> Callable[[str], ssl.SSLContext]:
    """Make what a server with a certificate for this name needs."""

    def make(name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        return context

    return make


@pytest.fixture
async def rest(service: Service, ca: dict[str, str]) -> AsyncIterator[Callable[..., Rest]]:
    """Make the destination: ``rest(auth=…)``; closed at the end. It trusts one authority, which is quickly loaded."""
    made: list[Rest] = []

    def make(**settings: Any) -> Rest:
        given = {"url": service.url, "ca": ca["path"], **settings}
        made.append(Rest(RestSettings.model_validate(given), make_context("service")))
        return made[-1]

    yield make
    for destination in made:
        await destination.close()


@pytest.fixture
def delivery() -> Callable[..., Delivery[RestOptions]]:
    """Make a rendered delivery, as the core makes it: ``delivery({"site": "Dock 4"}, method="PUT", path=…)``."""

    def make(
        fields: dict[str, Any] | None = None,
        *,
        event: Event = Event.CREATE,
        record: Record | None = None,
        unique: str = "delivery-1",
        attempt: int = 1,
        **options: Any,
    ) -> Delivery[RestOptions]:
        notification = make_notification(event)
        record = record or make_record(**(fields or {}))
        made = rendered(RestOptions, notification=notification, record=record, **options)
        return make_delivery(made, key=unique, attempt=attempt, notification=notification, record=record)

    return make
