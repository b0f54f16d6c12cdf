"""Bodies that are too large, never come, unpack to more than they say, or are no notification."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib

from tests.hostile.bombs import bomb
from tests.hostile.routes import OTHER_ID
from tests.hostile.strangers.attack import Attack, Target, again, connected, head, pour, say

_MEGABYTE = 1 << 20
_BOMB = bomb(300)
_FLAT_BOMB = zlib.compress(b"[" * (30 * _MEGABYTE))


async def stalled(target: Target) -> None:
    """Begin 64 bodies of a megabyte with the secret, and stall before their last byte."""
    body = b'{"webserviceId": "' + OTHER_ID.encode() + b'", "key": "' + b"k" * (_MEGABYTE - 200)

    async def stall() -> None:
        async with connected(target) as (reader, writer):
            writer.write(head(secret=True, length=len(body) + 1) + body)
            await reader.read()

    await again(64, stall)


async def oversized(target: Target) -> None:
    """Send bodies of 2 MB, declared and not, and bodies without end."""
    whole = b" " * (2 * _MEGABYTE)
    ways = (
        lambda: say(target, head(secret=True, length=len(whole)), whole),
        lambda: say(target, head(length=len(whole)), whole),
        lambda: pour(target, head("Transfer-Encoding: chunked", secret=True), b"10000\r\n" + b"f" * 65536 + b"\r\n"),
    )
    await again(3, lambda: target.chance.choice(ways)())


async def bombs(target: Target) -> None:
    """Send small compressed bodies that unpack to hundreds of megabytes."""
    ways = (("gzip", _BOMB), ("deflate", _FLAT_BOMB), ("gzip, gzip", gzip.compress(_BOMB)))

    async def send() -> None:
        coding, body = target.chance.choice(ways)
        await say(target, head(f"Content-Encoding: {coding}", secret=True, length=len(body)), body)

    await again(4, send)


async def junk(target: Target) -> None:
    """Fill the quarantine: bodies of a megabyte that are no notification, with the secret."""
    ways = (b"\xff" * _MEGABYTE, b"[" * _MEGABYTE, json.dumps({"key": "j" * (_MEGABYTE - 20)}).encode(), b"{}")

    async def send() -> None:
        body = target.chance.choice(ways)
        await say(target, head(secret=True, length=len(body)), body)

    await again(4, send)


async def half_said(target: Target) -> None:
    """Say half a request and go, in 50 ways a second."""
    body = json.dumps({"key": "half", "webserviceId": OTHER_ID}).encode()
    whole = head(secret=True, length=len(body)) + body

    async def leave() -> None:
        async with connected(target) as (_, writer):
            writer.write(whole[: target.chance.randrange(1, len(whole) - 1)])
            await writer.drain()
            await asyncio.sleep(target.chance.uniform(0, 0.5))

    await again(16, leave)


BODIES: dict[str, Attack] = {
    "64 stalled bodies": stalled,
    "bodies over the limit": oversized,
    "compressed bombs": bombs,
    "junk for the quarantine": junk,
    "half a request": half_said,
}
