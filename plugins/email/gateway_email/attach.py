"""Photos and files that a mail carries: which ones, whether they are too large, and how they get into it, streamed."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from email.message import EmailMessage
from typing import TypeAlias

from gateway.api import Attachment, Delivery, Rejected, Unavailable, select_attachments, stream_attachment
from gateway_email.options import EmailOptions, EmailSettings

Marked: TypeAlias = tuple[bytes, Attachment]
"""The line that stands for an attachment, and the attachment."""
_BYTES_A_LINE = 57
"""What makes a line of base64 (RFC 2045, 6.8)."""
_TYPE = re.compile(r"([a-z0-9!#$&^_.+-]+)/([a-z0-9!#$&^_.+-]+)")


def to_attach(settings: EmailSettings, delivery: Delivery[EmailOptions]) -> list[Attachment]:
    """Return what a mail is to carry.

    Raises:
        Rejected: it is larger than the destination's ``attach_limit``.
    """
    found = select_attachments(delivery.attachments, delivery.options.attach)
    size = sum(one.size for one in found)
    if size > settings.attach_limit:
        what = "1 attachment" if len(found) == 1 else f"{len(found)} attachments"
        raise Rejected(
            f"attach: {what} with {_megabytes(size)}, and the attach_limit of the destination "
            f"({_megabytes(settings.attach_limit)}) allows less. Attach fewer, or raise it if the server allows"
        )
    return found


def attach(message: EmailMessage, attached: Sequence[Attachment], digest: str) -> list[Marked]:
    """Put parts for attachments into a message, with a mark in each where its content will stand."""
    marked = []
    for number, one in enumerate(attached):
        kind = _TYPE.fullmatch(one.content_type)
        maintype, subtype = kind.groups() if kind else ("application", "octet-stream")
        if maintype in ("message", "multipart", "text"):  # servers may change their line ends
            maintype, subtype = "application", "octet-stream"
        mark = hashlib.sha256(f"{digest} {number}".encode()).digest()
        message.add_attachment(mark, maintype=maintype, subtype=subtype, filename=one.filename)
        marked.append((base64.b64encode(mark) + b"\r\n", one))
    return marked


async def pieces_of(content: bytes, marked: Sequence[Marked]) -> AsyncIterator[bytes]:
    """Yield a message piece by piece, attachments in the places of their marks; each piece is whole lines.

    Raises:
        Unavailable: an attachment cannot be read any more, or is another one than it was.
    """
    for mark, one in marked:
        before, _, content = content.partition(mark)
        yield before
        sent, rest = 0, b""
        try:
            async for piece in stream_attachment(one):
                sent, rest = sent + len(piece), rest + piece
                whole = len(rest) - len(rest) % _BYTES_A_LINE
                yield _lines(rest[:whole])
                rest = rest[whole:]
        except OSError as error:
            raise Unavailable(f"{one.place}: {one.path} cannot be read: {error.strerror}") from error
        if sent != one.size:
            raise Unavailable(f"{one.place}: {one.path} has changed to {sent} bytes from {one.size}")
        yield _lines(rest)
    yield content


def _lines(content: bytes) -> bytes:
    return base64.encodebytes(content).replace(b"\n", b"\r\n")


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"
