"""uvicorn's HTTP protocol with bounds: on the head of a request, its time, what is thrown away, and pipelining.

What httptools and uvicorn do not bound: the length of a URL, of a header, of all headers, of trailers and of chunk
extensions (httptools gathers the value of a header until it is whole), the number of pipelined requests, the time a
request takes to come and an answer to go, and what a client sends after its answer.
"""

from __future__ import annotations

import asyncio
import fcntl
import termios
import time
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway.web.protocol.closing import HALF_CLOSED, LINGER, QUIET, THROWN_AWAY, GentleTransport
from gateway.web.protocol.connections import Connections
from gateway.web.protocol.head import (
    BODY_WITHIN,
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
        self.waiting_since: float | None = None
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self._last_headers = self.headers
        self._in_body = False
        """Whether the parser waits for the rest of a body, or else for a head."""
        self._since: float | None = None
        """Since when the rest of a head or of a body is waited for."""
        self._head_bytes = 0
        self._fed_of_body = self._content = self._chunks = 0
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
        self._since = self.waiting_since = time.monotonic()
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
        if self._in_body:
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

    def has_sent(self) -> bool:
        """Tell whether bytes have come that were not read yet."""
        sock = self.transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return False
        return fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4) != b"\0" * 4

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
        elif self._since is not None and now - self._since >= (BODY_WITHIN if self._in_body else HEAD_WITHIN):
            self._end_overdue()

    def _end_overdue(self) -> None:
        if self._in_body:
            text = f"the body did not come within {BODY_WITHIN:g} s of the headers: {self._content} bytes of it did"
            self._refuse(Refused(408, f"{text}. Send it again, and look at what is between doForms and the gateway"))
        elif self._active is not None:
            self._since = time.monotonic()  # it is not read on before that is answered
        elif self._begun:
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
        slow = self._in_body or self._head_bytes or self._deaf or self._closing_since is not None
        if not slow and len(data) <= _PIECE:
            took = self._take(data)  # a whole request, as nearly always
            if took == len(data) and not self._in_body and self.headers is self._last_headers:
                if self._head_bytes:
                    self._wait_for_rest()
                return None
            at = took
        else:
            at = 0
        while at < len(data) and not self._deaf and self._closing_since is None:
            most = _PIECE if self._in_body else min(_PIECE, LARGEST_HEAD - self._head_bytes)
            at += self._take(data if at == 0 and len(data) <= most else data[at : at + most])
        if self._in_body or self._begun:
            self._wait_for_rest()
        return None

    @property
    def _begun(self) -> bool:
        """Whether a head has begun, be it only with an empty line."""
        return self._head_bytes > 0 or self.headers is not self._last_headers

    def _wait_for_rest(self) -> None:
        if self._since is None:
            self._since = time.monotonic()
            self.waiting_since = None if self._active not in (None, self.cycle) else self._since
        if self._in_body and self._active is not None and self._closing_since is None:
            self.flow.pause_reading()  # until the application asks for more, so that no more gathers here

    def _take(self, data: bytes) -> int:
        """Give bytes to the parser; returns how many it took."""
        took, of_body = len(data), self._in_body
        if of_body:
            self._fed_of_body += took
        else:
            self._head_bytes += took
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            took = upgrade.args[0]
            self._begin_without_upgrade()
        except httptools.HttpParserError as error:
            if not self._deaf:
                self._refuse(self._refused or Refused(400, f"the request is no HTTP/1.1: {error}"))
        if self._deaf:
            return took
        if self._head_bytes >= LARGEST_HEAD:
            self._refuse(_url_too_long() if len(self.url) > LARGEST_URL else _head_too_large())
        elif of_body and self._in_body and self._fed_of_body - self._content > self._overhead:
            text = f"chunk extensions and trailers are over {LARGEST_OVERHEAD // 1024} KiB"
            self._refuse(Refused(431, text))
        return took

    @property
    def _overhead(self) -> int:
        return LARGEST_OVERHEAD + FOR_A_CHUNK * self._chunks

    def _begin_without_upgrade(self) -> None:
        """Begin the request anew without its offer of another protocol, after which the parser stopped."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            return self._refuse(Refused(405, "only POST is accepted here"))
        head = without_upgrade(method, self.url, version, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._take(head)
        return None

    def on_headers_complete(self) -> None:
        """Begin to answer, or have the request wait for the one before it."""
        self._last_headers, self._since, self._head_bytes = self.headers, None, 0
        if self.parser.should_upgrade():
            return
        if len(self.url) > LARGEST_URL:
            self._stop(_url_too_long())
        if len(self.headers) > MOST_HEADERS:
            self._stop(Refused(431, f"the request has over {MOST_HEADERS} headers"))
        if len(self.pipeline) >= MOST_PIPELINED:
            self._stop(None)
        self._in_body = True
        self._fed_of_body = self._content = self._chunks = 0
        self._of_head = len(self.headers)
        self.scope["extensions"] = self._extensions
        super().on_headers_complete()
        if self._active is None:
            self._active = self.cycle

    def on_chunk_header(self) -> None:
        """Count a chunk, whose size may take a few bytes."""
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        cycle = self.cycle
        self._content += len(body)
        if cycle.response_complete:
            return
        cycle.body += body
        cycle.message_event.set()
        if cycle is not self._active and len(cycle.body) > _PIPELINED_BYTES:
            self._drop_last_pipelined()
            self._stop(None)

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        if self.parser.should_upgrade():
            return
        cycle = self.cycle
        self._in_body, self._since = False, None
        if len(self.headers) > self._of_head:
            del self.headers[self._of_head :]  # trailers are no headers (RFC 9110, 6.5.1)
        if cycle.response_complete:
            self._answered_early, self._thrown_away = None, 0
            self._wait_for_next()
        else:
            cycle.more_body = False
            cycle.message_event.set()
            self.waiting_since = None

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
        if self._active is not None and self._active.body:
            self._active.body = bytearray()  # what nobody read must not stay as long as the connection
        super().on_response_complete()
        self._active = following
        if self._closing_since is not None:
            return
        if following is not None:
            return
        self.waiting_since = time.monotonic()
        if self._deaf:
            self._end()
        elif self._in_body:
            self._answered_early = self.waiting_since

    def _wait_for_next(self) -> None:
        self.waiting_since = time.monotonic()
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
        if not self._in_body:
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
        self.waiting_since = self._closing_since
        whole = not (self._in_body or self._begun or self._deaf)
        if whole or self._half_closed:
            self.transport.close_now()
        else:
            self.transport.real.write_eof()
            self.flow.resume_reading()


def _url_too_long() -> Refused:
    return Refused(414, f"the URL is over {LARGEST_URL // 1024} KiB")


def _head_too_large() -> Refused:
    return Refused(431, f"the head of the request is over {LARGEST_HEAD // 1024} KiB")
