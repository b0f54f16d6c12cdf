"""Reads the body of an answer: bounded, and unpacked off the event loop where it is large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import httpx

from gateway.http.deadline import ends, share_of
from gateway.http.unpack import NotPacked, Unpacker, unpacker_for

LIMIT = 100_000
"""Bytes of a body that are given out unless the caller asks for more."""
WITHIN = 5.0
"""Seconds for the body once the status is there; what has come by then is given out."""
_SLACK = 64 * 1024
"""Bytes that may come packed beyond what may come out: a coding can make little of much, but not for ever."""
_IN_THE_LOOP = 64 * 1024
"""Bytes that are unpacked at once in the event loop; what is more goes to a thread."""


async def read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the body as far as it can be had, at most ``limit`` bytes; never raises but for cancellation.

    A body that breaks off, drips, is never ended or is not what its headers say is given out as far as it came: the
    status has decided what the answer means.
    """
    content = answer.content
    coding = answer.headers.get("Content-Encoding", "")
    if content.is_eof() and content.exception() is None and not coding:  # all has come already, as mostly
        return content.read_nowait(limit)
    raw = bytearray()
    try:
        async with asyncio.timeout(share_of(WITHIN, ends())):
            while len(raw) <= limit + (_SLACK if coding else 0) and (chunk := await content.readany()):
                raw += chunk
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    return await _unpacked(bytes(raw), coding, limit) if coding else bytes(raw[:limit])


async def _unpacked(raw: bytes, coding: str, limit: int) -> bytes:
    try:
        unpacker = unpacker_for(coding)
    except NotPacked:
        return b""
    if unpacker is None:
        return raw[:limit]
    if limit <= LIMIT:
        return _within(unpacker, raw, limit)
    return await asyncio.to_thread(_within, unpacker, raw, limit)


def _within(unpacker: Unpacker, raw: bytes, limit: int) -> bytes:
    out = bytearray()
    try:
        for piece in unpacker.feed(raw):
            out += piece
            if len(out) >= limit:
                break
    except NotPacked:
        return bytes(out[:limit]) or raw[:limit]  # said to be packed, and is not
    return bytes(out[:limit])


async def beginning(answer: httpx.Response, limit: int = LIMIT) -> bytes:
    """Return what of a streamed answer tells why it is no success, as `read` does."""
    found = bytearray()
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(share_of(WITHIN, ends())):
            async for piece in answer.aiter_bytes():
                found += piece
                if len(found) >= limit:
                    break
    return bytes(found[:limit])


async def stream(answer: aiohttp.ClientResponse, unpacker: Unpacker | None) -> AsyncIterator[bytes]:
    """Yield the body in pieces, unpacked, without an end of its own; the caller bounds it by no longer asking.

    Raises:
        aiohttp.ClientError, NotPacked: it broke off, or is not what its headers say.
    """
    spent = 0
    while chunk := await answer.content.readany():
        if unpacker is None:
            yield chunk
            continue
        pieces = unpacker.feed(chunk)
        while True:
            piece = next(pieces, b"") if spent < _IN_THE_LOOP else await asyncio.to_thread(next, pieces, b"")
            if not piece:
                break
            spent += len(piece)
            yield piece
    if unpacker is not None and not unpacker.is_whole:
        raise NotPacked("it ends amid what is compressed")
