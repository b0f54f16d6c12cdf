"""Answers to doForms, written straight to the server."""

from __future__ import annotations

import json

from starlette.types import Send

from gateway.models import Outcome
from gateway.text.visible import visible_json

Headers = list[tuple[bytes, bytes]]

RETRY_AFTER = 10
"""Seconds after which doForms may send again what could not be kept."""

_EMPTY: Headers = [(b"content-length", b"0")]
_OUTCOMES = {outcome: json.dumps({"status": outcome.value}).encode() for outcome in Outcome}


async def empty(send: Send) -> None:
    """Answer 200 with a truly empty body: received, the outcome follows."""
    await _send(send, 200, b"", _EMPTY)


async def outcome(send: Send, verdict: Outcome) -> None:
    """Answer 200 with the final status."""
    body = _OUTCOMES[verdict]
    await _send(send, 200, body, [*_json(body)])


async def error(send: Send, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    """Answer with an error that says what is wrong."""
    body = visible_json(json.dumps({"error": text})).encode()
    await _send(send, status, body, [*_json(body), *headers])


def retry_later() -> tuple[bytes, bytes]:
    """Return the header that asks doForms to send again."""
    return b"retry-after", str(RETRY_AFTER).encode()


def _json(body: bytes) -> Headers:
    return [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]


async def _send(send: Send, status: int, body: bytes, headers: Headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
