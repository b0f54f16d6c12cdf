"""An attack: a coroutine that goes on until it is cancelled, and what all of them need."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from tests.hostile.routes import HEADERS, PATH

_GIVEN_UP = 5.0
"""Seconds that an attacker waits for the other side to read or to answer."""
_BREATH = 0.01
"""Seconds between two connections of one attacker: the machine has other things to do as well."""


@dataclass(frozen=True, slots=True)
class Target:
    """The port of a gateway, and chance from a seed."""

    port: int
    chance: random.Random


Attack = Callable[[Target], Awaitable[None]]


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect; raises OSError or TimeoutError, also where the other side ends the connection."""
    async with asyncio.timeout(_GIVEN_UP):
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def pour(target: Target, begin: bytes, part: bytes, *, most: int = 200 << 20) -> None:
    """Open a connection, say ``begin`` and then ``part`` again and again, ``most`` bytes in all, while it is read."""
    async with connected(target) as (_, writer):
        writer.write(begin)
        for _ in range(most // len(part)):
            writer.write(part)
            async with asyncio.timeout(_GIVEN_UP):
                await writer.drain()


async def say(target: Target, *parts: bytes) -> bytes:
    """Open a connection, say something, and return the beginning of the answer."""
    async with connected(target) as (reader, writer):
        for part in parts:
            writer.write(part)
        async with asyncio.timeout(_GIVEN_UP):
            await writer.drain()
            return await reader.read(1000)


async def again(attackers: int, act: Callable[[], Awaitable[object]]) -> None:
    """Have so many attackers act again and again."""

    async def go_on() -> None:
        while True:
            with suppress(OSError, TimeoutError):  # whatever the other side does to a connection
                await act()
            await asyncio.sleep(_BREATH)

    await asyncio.gather(*(go_on() for _ in range(attackers)))


def head(*lines: str, path: str = PATH, secret: bool = False, length: int | None = None) -> bytes:
    """Return the head of a POST."""
    given: list[str] = [f"POST {path} HTTP/1.1", "Host: gateway", "Content-Type: application/json", *lines]
    if secret:
        given += _secret_lines()
    if length is not None:
        given.append(f"Content-Length: {length}")
    return ("\r\n".join(given) + "\r\n\r\n").encode()


def _secret_lines() -> Iterable[str]:
    return (f"{name}: {value}" for name, value in HEADERS.items())
