"""Bodies that were packed on their way (RFC 9110, section 8.4): unpacked within a limit, a slice at a time.

What would become larger than the limit is given up there, so that a bomb costs no more than a good body; between two
slices the event loop turns.
"""

from __future__ import annotations

import asyncio
import codecs
import zlib
from collections.abc import Sequence

from gateway.errors import Misfit, NotANotification

TAKEN = "gzip, deflate, identity"
"""The codings that are unpacked, as ``Accept-Encoding`` names them."""
_MOST_LAYERS = 3
_MOST_MEMBERS = 16
"""Parts of a gzip body, each of which needs memory of its own (RFC 1952, section 2.2)."""
_SLICE = 16 * 1024
_GZIP, _ZLIB, _RAW = 31, 15, -15
"""The formats, as `zlib` numbers them."""


def codings_of(values: Sequence[bytes]) -> tuple[str, ...]:
    """Return the codings that ``Content-Encoding`` names, in the order in which they were applied."""
    names = (name.strip(b" \t").decode("latin-1").lower() for value in values for name in value.split(b","))
    return tuple(name.removeprefix("x-") for name in names if name not in ("", "identity"))


async def unpack(body: bytes, codings: Sequence[str], *, most: int) -> bytes:
    """Undo the codings, the last one first; at most so many bytes come out.

    A body that is plain although it is called packed is taken as it is: a proxy unpacked it and left the header.

    Raises:
        NotANotification: a coding is not known, the body is damaged, or too large.
    """
    unknown = [coding for coding in codings if coding not in ("gzip", "deflate")]
    if unknown or len(codings) > _MOST_LAYERS:
        what = f"{unknown[0][:40]!r}" if unknown else f"{len(codings)} codings one over the other"
        text = f"the body is packed by {what} (Content-Encoding); only {TAKEN} are unpacked"
        raise NotANotification(text, code=Misfit.CODING)
    for coding in reversed(codings) if body else ():
        try:
            body = await (_gunzip(body, most) if coding == "gzip" else _inflate_either(body, most))
        except zlib.error:
            if body.removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n").startswith(b"{"):
                return body
            text = f"the body is not what Content-Encoding: {coding} says, or damaged"
            raise NotANotification(text, code=Misfit.PACKED) from None
    return body


async def _gunzip(body: bytes, most: int) -> bytes:
    out = b""
    for _ in range(_MOST_MEMBERS):
        part, body = await _inflate(body, _GZIP, most - len(out))
        out += part
        if not body.strip(b"\0"):  # padding, as tapes had it
            return out
    raise NotANotification(f"the body has more than {_MOST_MEMBERS} parts of gzip", code=Misfit.PACKED)


async def _inflate_either(body: bytes, most: int) -> bytes:
    """Inflate what is called ``deflate``: zlib's format, or without its frame as some senders make it."""
    has_frame = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    try:
        out, rest = await _inflate(body, _ZLIB if has_frame else _RAW, most)
    except zlib.error:
        if not has_frame:
            raise
        out, rest = await _inflate(body, _RAW, most)
    if rest:
        raise zlib.error("something follows")
    return out


async def _inflate(body: bytes, format: int, most: int) -> tuple[bytes, bytes]:
    """Inflate one stream; returns what came out and what follows it."""
    stream, out = zlib.decompressobj(format), bytearray()
    for start in range(0, len(body), _SLICE):
        out += stream.decompress(body[start : start + _SLICE], most - len(out) + 1)
        if len(out) > most:
            raise NotANotification("the body unpacks to more than 1 MiB", code=Misfit.TOO_LARGE)
        if stream.eof:
            return bytes(out), stream.unused_data + body[start + _SLICE :]
        await asyncio.sleep(0)
    raise NotANotification("the packed body ends too early", code=Misfit.PACKED)
