"""What an answer can take: its memory is bounded, and the event loop goes on, whatever it sends."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from gateway.http import LIMIT, build_client
from tests.support.heartbeat import heartbeat
from tests.support.tcp import raw_server

MEGABYTE = 1_000_000
_STOOD = 5.0
"""Seconds for which the loop may stand on a machine that does ten other things; without bounds it stood for more."""


def packed(size: int, *, bits: int) -> bytes:
    """Return what unpacks to so many zeros: the same blocks again and again, since a full flush makes them alike."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, bits)
    head = squeeze.flush(zlib.Z_FULL_FLUSH)
    block = squeeze.compress(bytes(MEGABYTE)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return head + block * (size // MEGABYTE)


def deflated(size: int) -> bytes:
    return packed(size, bits=zlib.MAX_WBITS)


def gzipped(size: int) -> bytes:
    return packed(size, bits=zlib.MAX_WBITS | 16)


def answered(coding: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: answered("gzip", gzipped(1500 * MEGABYTE)),
    "deflate": lambda: answered("deflate", deflated(1500 * MEGABYTE)),
    "gzip of gzip": lambda: answered("gzip, gzip", gzip.compress(gzipped(1500 * MEGABYTE))),
    "many codings": lambda: answered(", ".join(["gzip"] * 50), gzip.compress(gzipped(100 * MEGABYTE))),
    "empty members": lambda: answered("gzip", gzip.compress(b"") * 400_000),
    "another coding": lambda: answered("br", bytes(3 * MEGABYTE)),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
async def test_answer_that_unpacks_to_much_takes_little(bomb: Callable[[], bytes]) -> None:
    async with raw_server(bomb()) as server, build_client() as client, heartbeat() as beats:
        answers = await asyncio.gather(*(client.post(server.url) for _ in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert all(len(answer.content) <= LIMIT for answer in answers)
    assert beats.grown < 150 * MEGABYTE
    assert beats.longest < _STOOD


@asynccontextmanager
async def endless(first: bytes, again: bytes) -> AsyncIterator[str]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(first)
            while True:
                writer.write(again)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", bytes(65_536)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65_536) + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0;", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: x\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: x\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\nX-Header: ", b"x" * 65_536),
        (b"HTTP/1.1 200 ", b"OK" * 32_768),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (b"", b"\r\n" * 10_000),
        (b"", b"x" * 65_536),
    ],
    ids=["body", "chunks", "extension", "trailers", "headers", "header", "reason", "interim", "empty lines", "noise"],
)
async def test_answer_without_end_takes_little_and_ends(first: bytes, again: bytes) -> None:
    async with endless(first, again) as url, build_client() as client, heartbeat() as beats:
        ends = await asyncio.gather(*(client.post(url) for _ in range(8)), return_exceptions=True)
    for end in ends:
        assert isinstance(end, httpx.RemoteProtocolError) or (
            isinstance(end, httpx.Response) and end.status_code == 200 and len(end.content) <= LIMIT
        )
    assert any(isinstance(end, httpx.Response) for end in ends) == first.startswith(b"HTTP/1.1 200 OK")
    assert beats.grown < 150 * MEGABYTE
    assert beats.longest < _STOOD


async def test_answer_that_nobody_asked_for_answers_nothing() -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nfirst"
    stray = answer.replace(b"first", b"stray")
    async with raw_server(answer + stray * 3, answer.replace(b"first", b"after")) as server, build_client() as client:
        assert [(await client.post(server.url)).text for _ in range(2)] == ["first", "after"]
    assert len(server.requests) == 2


async def test_answer_that_comes_late_and_unasked_answers_nothing() -> None:
    connections: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % len(connections))
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with build_client() as client, heartbeat() as beats:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert (await client.post(url)).text == "1"
        for _ in range(200):
            if connections[0].is_closing():
                break
            connections[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 2000)
            await asyncio.sleep(0.01)
        assert (await client.post(url)).text == "2"
    server.close()
    assert beats.grown < 50 * MEGABYTE


async def test_more_is_given_to_whoever_asks_for_it() -> None:
    body = bytes(range(256)) * 4000
    async with raw_server(answered("gzip", gzip.compress(body))) as server:
        for limit in (1, 500_000, 2_000_000):
            async with build_client(limit=limit) as client:
                assert (await client.get(server.url)).content == body[:limit]
        async with build_client() as client, client.stream("GET", server.url) as answer:
            assert b"".join([piece async for piece in answer.aiter_bytes()]) == body


async def test_streamed_answer_raises_where_it_breaks_off() -> None:
    for raw in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        answered("gzip", gzip.compress(bytes(1000))[:-4]),
        answered("gzip", b"no gzip"),
        answered("br", b"no gzip"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    ):
        async with raw_server(raw) as server, build_client() as client, client.stream("GET", server.url) as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.HTTPError):
                await answer.aread()


async def test_streamed_bomb_comes_in_small_pieces_while_the_loop_goes_on() -> None:
    taken = 0
    async with (
        raw_server(BOMBS["gzip"]()) as server,
        build_client() as client,
        heartbeat() as beats,
        client.stream("GET", server.url) as answer,
    ):
        async for piece in answer.aiter_bytes():
            assert len(piece) <= 70_000
            taken += len(piece)
            if taken > 50 * MEGABYTE:
                break
    assert beats.grown < 100 * MEGABYTE
    assert beats.longest < _STOOD


async def test_body_of_an_answer_that_redirects_is_bounded_where_it_is_followed() -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n"
    async with (
        endless(head, bytes(65_536)) as url,
        build_client(follow_redirects=True, max_redirects=3) as client,
        heartbeat() as beats,
    ):
        with pytest.raises(httpx.TooManyRedirects):
            await client.get(url)
        with pytest.raises(httpx.TooManyRedirects):
            async with client.stream("GET", url):
                pass
    assert beats.grown < 100 * MEGABYTE
