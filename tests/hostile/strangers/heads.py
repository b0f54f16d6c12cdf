"""Connections that say nothing, and heads that never end."""

from __future__ import annotations

import asyncio

from tests.hostile.routes import PATH
from tests.hostile.strangers.attack import Attack, Target, again, connected, head, pour

_BLOCK = 64 * 1024
_IDLE = 1100


async def silent(target: Target) -> None:
    """Hold 1,100 connections open and say nothing."""

    async def hold() -> None:
        await asyncio.sleep(target.chance.uniform(0.0, 1.0))
        async with connected(target) as (reader, _):
            await reader.read()  # until the other side ends it

    await again(_IDLE, hold)


async def dripping(target: Target) -> None:
    """Say one letter of a head a second, on 200 connections."""

    async def drip() -> None:
        async with connected(target) as (_, writer):
            for letter in head("X-Filler: " + "a" * 4000):
                writer.write(bytes([letter]))
                await writer.drain()
                await asyncio.sleep(1.0)

    await again(200, drip)


async def one_header(target: Target) -> None:
    """Send a header of 200 MiB."""
    begin = head()[:-2] + b"X-Long: "
    await again(4, lambda: pour(target, begin, b"a" * _BLOCK))


async def many_headers(target: Target) -> None:
    """Send headers without end."""
    part = b"".join(b"X-%05d: %s\r\n" % (number, b"b" * 50) for number in range(1000))
    await again(4, lambda: pour(target, head()[:-2], part))


async def long_url(target: Target) -> None:
    """Send a URL of 200 MiB."""
    await again(4, lambda: pour(target, f"POST {PATH}?".encode(), b"c" * _BLOCK))


async def chunk_extensions(target: Target) -> None:
    """Send the extension of a chunk without end, with the secret and without."""
    secret = target.chance.random() < 0.5
    begin = head("Transfer-Encoding: chunked", secret=secret) + b"1;"
    await again(4, lambda: pour(target, begin, b"d" * _BLOCK))


async def trailers(target: Target) -> None:
    """Send trailers behind a chunked body without end, with the secret."""
    begin = head("Transfer-Encoding: chunked", secret=True) + b"2\r\n{}\r\n0\r\n"
    await again(4, lambda: pour(target, begin, b"X-Trailer: %s\r\n" % (b"e" * 1000)))


HEADS: dict[str, Attack] = {
    "1,100 silent connections": silent,
    "dripping heads": dripping,
    "a header of 200 MiB": one_header,
    "headers without end": many_headers,
    "a URL of 200 MiB": long_url,
    "chunk extensions without end": chunk_extensions,
    "trailers without end": trailers,
}
