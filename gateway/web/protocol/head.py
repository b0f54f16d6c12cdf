"""The head of a request: its bounds, the refusal beyond them, and the offers in it that are not taken up."""

from __future__ import annotations

import json
from dataclasses import dataclass

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

LARGEST_HEAD = 32 * 1024
"""Bytes of a head in all: request line and headers."""
LARGEST_URL = 8 * 1024
"""Bytes of its URL (RFC 9112, 3, asks for at least 8,000)."""
MOST_HEADERS = 100
"""Headers in it; so many trailers may follow a body."""
LARGEST_OVERHEAD = 32 * 1024
"""Bytes of a chunked body that are none of its content: chunk extensions and trailers."""
FOR_A_CHUNK = 16
"""Bytes more for the size of each chunk."""
HEAD_WITHIN = 10.0
"""Seconds in which it must come: from its first byte, the first one of a connection from when that was opened."""
BODY_WITHIN = 10.0
"""Seconds in which a body must come, from the end of its head on; doForms hangs up after 3."""

_OFFERS = (b"upgrade", b"http2-settings")


@dataclass(frozen=True, slots=True)
class Refused(Exception):
    """A request that is not even looked at."""

    status: int
    text: str

    def answer(self, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the whole answer, after which the connection closes."""
        body = json.dumps({"error": self.text}).encode()
        headers = [
            *default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        return STATUS_LINE[self.status] + lines + b"\r\n" + body


def without_upgrade(method: bytes, url: bytes, version: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return a head again without its offer to change the protocol.

    A server may ignore such an offer and serve the request as it is (RFC 9110, 7.8).
    """
    kept = [(name, value) for name, value in headers if name not in (*_OFFERS, b"connection")]
    options = [one.strip() for name, value in headers if name == b"connection" for one in value.split(b",")]
    options = [one for one in options if one and one.lower() not in _OFFERS]
    if options:
        kept.append((b"connection", b", ".join(options)))
    lines = b"".join(b"%s: %s\r\n" % header for header in kept)
    return b"%s %s HTTP/%s\r\n%s\r\n" % (method, url, version.encode(), lines)
