"""uvicorn's HTTP protocol with bounds: on the head of a request, its time, what is thrown away, and pipelining.

What httptools and uvicorn do not bound: the length of a URL, of a header, of all headers, of trailers and of chunk
extensions (httptools gathers the value of a header until it is whole), the number of pipelined requests, the time a
request takes to come and an answer to go, and what a client sends after its answer.
"""

from __future__ import annotations

import asyncio
import time
from enum import Enum
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway.web.closing import HALF_CLOSED, LINGER, QUIET, THROWN_AWAY, GentleTransport
from gateway.web.connections import Connections
from gateway.web.head import (
    FOR_A_CHUNK,
    HEAD_WITHIN,
    LARGEST_HEAD,
    LARGEST_OVERHEAD,
    LARGEST_URL,
    MOST_HEADERS,
    Refused,
    without_upgrade,
)

TAKE_WITHIN = 10.0
"""Seconds in which a client must take its answer from the connection."""
REST_WITHIN = 10.0
"""Seconds for the rest of a body that was answered before it was whole."""
MOST_PIPELINED = 16
"""Requests that may wait behind the one that is being answered; what comes after them is not read."""
_PIPELINED_BYTES = 64 * 1024
"""Bytes of their bodies that may wait."""
_PIECE = 16 * 1024
"""Bytes given to the parser at once: so far can a head that begins within them grow beyond its bound."""


class _Part(Enum):
    """What the parser waits for."""

    HEAD = "the first byte, or the rest, of the head of a request"
    BODY = "the rest of a body"


class BoundedProtocol(HttpToolsProtocol):
    """Serves one connection."""

    transport: GentleTransport

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        known: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._known = known
        self._part = _Part.HEAD
        self._head_since: float | None = None
        self._head_bytes = 0
        self._fed_of_body = self._content = self._chunks = self._trailers = 0
        self._refused: Refused | None = None
        """Why nothing more is read, to be answered after what is being answered."""
        self._active: RequestResponseCycle | None = None
        """The request that is being answered; uvicorn's `cycle` is the last one that came."""
        self._deaf = False
        """What comes is no request any more: the connection closes after the answers that are due."""
        self._half_closed = False
        self._extensions: dict[str, dict[object, object]] = {}
        self._closing_since: float | None = None
        self._thrown_away = 0
        self._thrown_at = 0.0
        self._answered_early: float | None = None
        """Since when the rest of a body is read that was answered before it was whole."""
        self._writing_since: float | None = None
        """Since when the client does not take what is written."""

    # the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, if there is room for it."""
        super().connection_made(GentleTransport(transport, self._close_gently))
        self._head_since = time.monotonic()
        if not self._known.admit(self, self._address):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits for the connection that it is gone."""
        self._known.left(self)
        self._closing_since = time.monotonic()
        super().connection_lost(exc)
        active, self._active = self._active, None
        if active is not None and not active.response_complete:
            active.disconnected = True
            active.message_event.set()
        self.pipeline.clear()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what was asked before the client closed its side; true keeps the connection open for that."""
        if self._closing_since is not None or self._active is None:
            return False
        if self._part is _Part.BODY:
            if self.cycle is self._active:
                return False  # its body will never be whole: the client has hung up
            self._drop_last_pipelined()
        self._deaf = self._half_closed = True
        self._extensions[HALF_CLOSED] = {}
        self.transport.resume_reading = lambda: None  # type: ignore[method-assign]
        return True

    def shutdown(self) -> None:
        """End what waits, and what is being answered once it is."""
        if self._active is None:
            self.transport.close_now()
        else:
            self._active.keep_alive = False
            super().shutdown()

    def pause_writing(self) -> None:
        """Note that the client does not take what is written."""
        self._writing_since = time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that it does."""
        self._writing_since = None
        super().resume_writing()

    def close_for_room(self) -> None:
        """Close at once: a new connection needs the room."""
        self.transport.abort()

    def end_if_overdue(self, now: float) -> None:
        """End if the client takes too long; what the gateway itself takes is not measured here."""
        if self._closing_since is not None:
            quiet = now - max(self._thrown_at, self._closing_since) >= QUIET
            if quiet or now - self._closing_since >= LINGER:
                self.transport.abort()
        elif self._writing_since is not None and now - self._writing_since >= TAKE_WITHIN:
            self._cut("a connection was cut: its answer was not taken", f"within {TAKE_WITHIN:g} s")
        elif self._answered_early is not None and now - self._answered_early >= REST_WITHIN:
            self._cut("a connection was cut: its body did not end", f"within {REST_WITHIN:g} s of its answer")
        elif self._active is None and self._head_since is not None and now - self._head_since >= HEAD_WITHIN:
            if self._head_bytes:
                self._refuse(Refused(408, f"the head of the request did not come within {HEAD_WITHIN:g} s"))
            else:
                self._cut("a connection was closed: nothing came", f"within {HEAD_WITHIN:g} s")

    @property
    def _address(self) -> str | None:
        return None if self.client is None else self.client[0]

    def _cut(self, event: str, found: str) -> None:
        self._known.log.warning(event, found=found, client=self._address)
        self.transport.abort()

    # what comes

    def data_received(self, data: bytes) -> None:
        """Parse what came, within the bounds."""
        self._unset_keepalive_if_required()
        if self._deaf or self._closing_since is not None or self._answered_early is not None:
            self._thrown_away += len(data)
            self._thrown_at = time.monotonic()
            if self._thrown_away > THROWN_AWAY:
                return self._cut("a connection was cut: more came than is thrown away", f"{THROWN_AWAY} bytes")
        at = 0
        while at < len(data) and not self._deaf and self._closing_since is None:
            left = LARGEST_HEAD - self._head_bytes if self._part is _Part.HEAD else _PIECE
            piece = data if at == 0 and len(data) <= min(left, _PIECE) else data[at : at + min(left, _PIECE)]
            at += self._take(piece)
        return None

    def _take(self, data: bytes) -> int:
        """Give bytes to the parser; returns how many it took."""
        in_head = self._part is _Part.HEAD
        if in_head:
            self._head_bytes += len(data)
            if self._head_since is None:
                self._head_since = time.monotonic()
        else:
            self._fed_of_body += len(data)
        took = self._parse(data)
        if self._deaf:
            return took
        if self._part is _Part.HEAD:
            if self._head_bytes >= LARGEST_HEAD:
                self._refuse(Refused(431, f"the head of the request is over {LARGEST_HEAD // 1024} KiB"))
        elif in_head:
            self._known.waits(self)
        elif self._fed_of_body - self._content > LARGEST_OVERHEAD + FOR_A_CHUNK * self._chunks:
            text = f"chunk extensions and trailers are over {LARGEST_OVERHEAD // 1024} KiB"
            self._refuse(Refused(431, text))
        return took

    def _parse(self, data: bytes) -> int:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parse_without_upgrade()
            return int(upgrade.args[0])
        except httptools.HttpParserError as error:
            if not self._deaf:
                self._refuse(self._refused or Refused(400, f"the request is no HTTP/1.1: {error}"))
        return len(data)

    def _parse_without_upgrade(self) -> None:
        """Begin the request anew without its offer of another protocol, after which the parser stopped."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            self._refuse(Refused(405, "only POST is accepted here"))
            return
        head = without_upgrade(method, self.url, version, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._part = _Part.HEAD
        self._parse(head)

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self._head_since is None:
            self._head_since = time.monotonic()
        self._head_bytes = self._head_bytes or 1  # how many of the piece are of this head is not known
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_url(self, url: bytes) -> None:
        """Take a part of the URL."""
        super().on_url(url)
        if len(self.url) > LARGEST_URL:
            self._stop(Refused(414, f"the URL is over {LARGEST_URL // 1024} KiB"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind a body is no header of the request (RFC 9110, 6.5.1)."""
        if self._part is _Part.BODY:
            self._trailers += 1
        else:
            super().on_header(name, value)
        if len(self.headers) > MOST_HEADERS or self._trailers > MOST_HEADERS:
            self._stop(Refused(431, f"the request has over {MOST_HEADERS} headers or trailers"))

    def on_headers_complete(self) -> None:
        """Begin to answer, or have the request wait for the one before it."""
        self._part = _Part.BODY
        self._head_since, self._head_bytes = None, 0
        self._fed_of_body = self._content = self._chunks = self._trailers = 0
        if self.parser.should_upgrade():
            return
        if len(self.pipeline) >= MOST_PIPELINED:
            self._stop(None)
        super().on_headers_complete()
        if self._active is None:
            self._active = self.cycle

    def on_chunk_header(self) -> None:
        """Count a chunk, whose size may take a few bytes."""
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._content += len(body)
        super().on_body(body)
        if self._active not in (None, self.cycle) and len(self.cycle.body) > _PIPELINED_BYTES:
            self._drop_last_pipelined()
            self._stop(None)

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._part = _Part.HEAD
        if self._answered_early is not None:
            self._answered_early, self._thrown_away = None, 0
            self._wait_for_next()
        else:
            self._known.works(self)

    def _stop(self, refused: Refused | None) -> None:
        """Have the parser stop; without a refusal what is due is answered before the connection closes."""
        self._refused = refused
        self._deaf = refused is None
        raise refused or Refused(503, "too much is pipelined")

    def _drop_last_pipelined(self) -> None:
        self.pipeline.popleft()
        assert self._active is not None
        self.cycle = self.pipeline[0][0] if self.pipeline else self._active

    # what goes

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for it."""
        following = self.pipeline[-1][0] if self.pipeline else None
        if self._active is not None:
            self._active.body = bytearray()  # what nobody read must not stay as long as the connection
        super().on_response_complete()
        self._active = following
        if self._closing_since is not None:
            return
        if following is None and self._deaf:
            self._end()
        elif following is None and self._part is _Part.BODY:
            self._answered_early = time.monotonic()
            self._known.waits(self)
        elif following is None:
            self._known.waits(self)

    def _wait_for_next(self) -> None:
        self._known.waits(self)
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _refuse(self, refused: Refused) -> None:
        """Read no more requests, and answer so after the answers that are due."""
        self._known.log.warning(
            "a request was refused", reason=refused.text, status=refused.status, client=self._address
        )
        self._deaf, self._refused = True, refused
        if self._active is None:
            return self._end()
        if self._part is not _Part.BODY:
            return None
        if self.cycle is not self._active:
            return self._drop_last_pipelined()
        if not self._active.response_started:
            self._active.disconnected = True  # its application hears that no body comes any more
            self._active.message_event.set()
            self._end()
        return None

    def _end(self) -> None:
        """Write the refusal, if there is one, and close."""
        if self._refused is not None:
            self.transport.write(self._refused.answer(self.server_state.default_headers))
        self.transport.close()

    def _close_gently(self) -> None:
        """Close, but not before the answer has arrived."""
        self._unset_keepalive_if_required()
        self._closing_since = time.monotonic()
        whole = self._part is _Part.HEAD and not self._head_bytes and not self._deaf
        if whole or self._half_closed:
            self.transport.close_now()
        else:
            self._known.waits(self)
            self.transport.real.write_eof()
            self.flow.resume_reading()
