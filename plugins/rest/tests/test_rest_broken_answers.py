"""What an answer means of which hardly more than the status line is as it should be."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from gateway_rest import Rest

from gateway.api import Delivery, Misconfigured, Rejected, Unavailable
from gateway.testing import ends_within

Make = Callable[..., Delivery[Any]]
MakeRest = Callable[..., Rest]

_ID = b'{"id": 42}'
_STATED = {
    "cut off": b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\ncut off",
    "no chunk": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "no gzip": b"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "no deflate": b"HTTP/1.1 201 Created\r\nContent-Encoding: deflate\r\nContent-Length: 3\r\n\r\nabc",
    "another coding": b"HTTP/1.1 201 Created\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
    "long header": b"HTTP/1.1 201 Created\r\nX-Long: " + b"x" * 60_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "longer header": b"HTTP/1.1 201 Created\r\nX-Long: " + b"x" * 300_000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 201 Created\r\n" + b"X-One: x\r\n" * 5000 + b"\r\n",
    "length and chunks": (
        b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    ),
    "two lengths": b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc",
    "no length": b"HTTP/1.1 201 Created\r\nContent-Length: many\r\n\r\nabc",
    "negative length": b"HTTP/1.1 201 Created\r\nContent-Length: -1\r\n\r\nabc",
    "header without name": b"HTTP/1.1 201 Created\r\n: x\r\nno colon\r\n\r\n",
    "head without end": b"HTTP/1.1 201 Created\r\nContent-Le",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\n\r\n",
    "interim, then nonsense": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: -1\r\n\r\n",
    "no reason": b"HTTP/1.1 201\r\nContent-Length: 0\r\n\r\n",
    "empty reason": b"HTTP/1.1 201 \r\nContent-Length: 0\r\n\r\n",
    "lower case": b"http/1.1 201 created\r\nContent-Length: 0\r\n\r\n",
    "wide": b"HTTP/1.1  201  Created\r\nContent-Length: 0\r\n\r\n",
    "line feeds": b"HTTP/1.1 201 Created\nContent-Length: 0\n\n",
    "empty line first": b"\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.0": b"HTTP/1.0 201 Created\r\n\r\nas long as it lasts",
    "HTTP/2": b"HTTP/2 201\r\n\r\n",
    "reason not in ASCII": "HTTP/1.1 201 Créé\r\nContent-Length: 0\r\n\r\n".encode("latin-1"),
}
"""Answers whose status line is there, and hardly anything else as it should be."""


@pytest.mark.parametrize("raw", _STATED.values(), ids=_STATED)
async def test_status_line_decides_whatever_follows_it(
    raw: bytes, service: Any, rest: MakeRest, delivery: Make
) -> None:
    service.say(raw)
    receipt = await rest().deliver(delivery())
    assert receipt.details == {"status": 201}
    assert len(service.heard) == 1


@pytest.mark.parametrize(("status", "error"), [(400, Rejected), (401, Misconfigured), (503, Unavailable)])
async def test_status_that_is_no_success_decides_too(
    status: int, error: type[Exception], service: Any, rest: MakeRest, delivery: Make
) -> None:
    for raw in _STATED.values():
        service.say(raw.replace(b"201", str(status).encode()))
        with pytest.raises(error, match=f"the service answered {status}"):
            await rest().deliver(delivery())
        await asyncio.sleep(0)


async def test_switch_of_protocols_that_nobody_asked_for_is_no_success(
    service: Any, rest: MakeRest, delivery: Make
) -> None:
    service.say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + bytes(9))
    with ends_within(2.0), pytest.raises(Rejected, match="the service answered 101"):
        await rest().deliver(delivery())


async def test_answer_without_a_body_that_has_one_is_an_answer(service: Any, rest: MakeRest, delivery: Make) -> None:
    service.say(b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\na body!")
    assert (await rest().deliver(delivery())).details == {"status": 204}


@pytest.mark.parametrize(
    "head",
    [
        f"Content-Encoding: gzip\r\nContent-Length: {len(_ID)}",
        "Content-Encoding: gzip, gzip",
        "Content-Length: 100",
        "Transfer-Encoding: identity",
    ],
)
async def test_id_is_found_in_a_body_that_is_not_as_its_headers_say(
    head: str, service: Any, rest: MakeRest, delivery: Make
) -> None:
    service.say(f"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n{head}\r\n\r\n".encode() + _ID)
    with ends_within(1.0):
        assert (await rest().deliver(delivery())).details == {"status": 201, "id": "42"}


async def test_id_is_found_in_a_body_that_came_compressed(service: Any, rest: MakeRest, delivery: Make) -> None:
    for coding, body in (
        ("gzip", gzip.compress(_ID)),
        ("deflate", zlib.compress(_ID)),
        ("deflate", zlib.compress(_ID)[2:-4]),
        ("x-gzip, deflate", zlib.compress(gzip.compress(_ID))),
        ("GZIP", gzip.compress(_ID[:4]) + gzip.compress(_ID[4:])),
    ):
        service.answer(201, body, content_type="application/json", content_encoding=coding)
        assert (await rest().deliver(delivery())).details == {"status": 201, "id": "42"}


async def test_nothing_compressed_is_asked_for(service: Any, rest: MakeRest, delivery: Make) -> None:
    await rest().deliver(delivery())
    assert [one.all("Accept-Encoding") for one in service.heard] == [["identity"]]


@pytest.mark.parametrize("body", [b"", b"x", b"x" * 200_000], ids=["nothing", "a drip", "more than is read"])
@pytest.mark.parametrize("head", ["Content-Length: 999999999\r\n\r\n", "\r\n", "X-Endless: "])
async def test_answer_that_has_no_end_counts_by_its_status_before_the_time_is_over(
    head: str, body: bytes, rest: MakeRest, delivery: Make
) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 200 OK\r\n{head}".encode() + body)
            while body:
                await writer.drain()
                await asyncio.sleep(0.05)
                writer.write(b"x")
            await asyncio.sleep(30)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        destination = rest(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with ends_within(2.0):  # as the gateway says before each attempt
            async with asyncio.timeout(2.0):
                receipt = await destination.deliver(delivery(method="PUT"))
        await destination.close()
        server.close()
    assert receipt.details == {"status": 200}
