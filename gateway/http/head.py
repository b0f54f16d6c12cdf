"""The head of an answer: kept as it came until it is understood, so that its status counts whatever follows it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from aiohttp import SocketTimeoutError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from gateway.http.deadline import ends, share_of

LARGEST = 64 * 1024
"""Bytes of a head that are read, interim answers with it."""
WITHIN = 10.0
"""Seconds for a head from its first byte on."""
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+([1-9]\d\d)(?:[ \t][^\r\n]*)?\r?\n", re.IGNORECASE)
_END = re.compile(rb"\r?\n\r?\n")
_NAME = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SEEN = "gateway_seen"


class Protocol(ResponseHandler):
    """aiohttp's, which forgets what it cannot parse: this one gives it with its errors."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._open = False
        self._answered = False
        self._seen = b""
        self._late: asyncio.TimerHandle | None = None
        self._until: float | None = None

    def set_response_params(self, **params: Any) -> None:
        """Begin a new answer; that of a proxy to CONNECT is none, and none of it may count as one."""
        self._open = "max_line_size" in params
        self._answered = False
        self._seen = b""
        self._until = ends()
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Take what came; as long as no head is whole it is kept."""
        if not self._open or not data:
            return self._more(data)
        room = LARGEST + 1 - len(self._seen)
        begun, rest = data[:room], data[room:]
        self._seen += begun
        super().data_received(begun)
        if self._exception is not None:
            return None
        if not self._open:
            return self._more(rest) if rest else None
        if len(self._seen) > LARGEST:
            self._refuse(HttpProcessingError(message=f"the head of the answer is longer than {LARGEST} bytes"))
        elif self._late is None:
            self._late = asyncio.get_running_loop().call_later(share_of(WITHIN, self._until), self._is_late)
        return None

    def _more(self, data: bytes) -> None:
        """Take what belongs to the body; what nobody asked for is no answer to what is asked next."""
        if data and self._answered and (self._payload is None or self._payload.is_eof()):
            self._hang_up()
            return
        super().data_received(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take an answer whose head is whole; an interim one (1xx) is not yet the answer, and a second one is none."""
        if self._answered:
            self.force_close()
            return
        status = data[0].code
        if self._open and (not 100 <= status < 200 or status == 101):
            self._answered = True
            self._close_head()
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Note an error, with what had come of the head."""
        if self._open:
            setattr(exc, _SEEN, self._seen)
            self._close_head()
        super().set_exception(exc, *cause)

    def _is_late(self) -> None:
        self._refuse(SocketTimeoutError("the head of the answer had no end in time"))

    def _refuse(self, error: Exception) -> None:
        self._hang_up()
        self.set_exception(error)

    def _hang_up(self) -> None:
        self.force_close()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()

    def _close_head(self) -> None:
        self._open, self._seen = False, b""
        if self._late is not None:
            self._late.cancel()
            self._late = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What can be read of an answer that is against the protocol (RFC 9112)."""

    status: int
    headers: list[tuple[bytes, bytes]]
    rest: bytes
    """What came behind it."""


def seen_of(error: BaseException) -> bytes | None:
    """Return what had come of the head when a request failed; None: it failed otherwise."""
    for one in (error, error.__cause__):
        if (seen := getattr(one, _SEEN, None)) is not None:
            return bytes(seen)
    return None


def decided(seen: bytes) -> Head | None:
    """Return the answer that begins so if its status line is there; None: it is none, or only interim ones."""
    while (match := _STATUS_LINE.match(seen := seen.lstrip(b"\r\n"))) is not None:
        status, end = int(match[1]), _END.search(seen, match.end() - 2)
        if 100 <= status < 200 and status != 101:
            if end is None:
                return None
            seen = seen[end.end() :]
            continue
        lines = seen[match.end() : len(seen) if end is None else end.start()].split(b"\n")
        whole = lines[:-1] if end is None else lines
        headers = [(name, value.strip()) for name, colon, value in (line.partition(b":") for line in whole) if colon]
        kept = [(name, value) for name, value in headers if _NAME.fullmatch(name)]
        return Head(status=status, headers=kept, rest=b"" if end is None else seen[end.end() :])
    return None
