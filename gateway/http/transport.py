"""httpx's transport over aiohttp: sends each request exactly once, and gives out answers that are bounded.

httpx's own transport delivers 700 requests a second here, aiohttp's 4,500. What aiohttp does behind the caller's back
is switched off: it would send PUT and DELETE again when a reused connection drops.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache, partial
from typing import Any, NoReturn

import aiohttp
import httpx
import yarl
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import map_aiohttp_exceptions

from gateway.http import body, head
from gateway.http.answer import HIDE
from gateway.http.places import Reach, socket_for
from gateway.http.proxy import parse_proxy, proxy_from_environment
from gateway.http.unpack import NotPacked, Unpacker, unpacker_for
from gateway.text.proxy_address import ENVIRONMENT

STREAMED = "gateway.streamed"
"""Key of the extension of a request whose answer the caller reads in pieces, as far as it wants to."""
KEEP_IDLE = 15.0
"""Seconds that an idle connection is kept; below what servers usually allow, so that few are found closed."""
_SHOWN = 60
_MOST_HEADERS = 4096
_PACKED = frozenset({b"content-encoding", b"content-length"})
"""Headers that speak of the body as it came, not of what is given out."""


class Transport(AiohttpTransport):
    """Sends over one session, which is made when it is first needed."""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        connections: int,
        limit: int,
        hide: Callable[[str], str] | None,
        proxy: str | None = None,
        reach: Reach = Reach.ANY,
    ) -> None:
        super().__init__(verify=context, client=_session(context, connections, reach if proxy is None else Reach.ANY))
        self._limit = limit
        self._way = None if proxy is None or proxy == ENVIRONMENT else parse_proxy(proxy)
        self._by_environment = proxy == ENVIRONMENT
        self._known = {} if hide is None else {HIDE: hide}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request of any kind."""
        headers = request.headers.multi_items()
        content: bytes | AsyncIterator[bytes]
        try:
            content = request.content
        except httpx.RequestNotRead:
            assert isinstance(request.stream, httpx.AsyncByteStream)
            content = aiter(request.stream)
            headers = [pair for pair in headers if pair[0].lower() != "transfer-encoding"]  # aiohttp writes it
        limits = request.extensions.get("timeout", {})
        if not request.extensions.get(STREAMED):
            return await self.exchange(request, headers, content, limits)
        return await self._stream(request, headers, content, limits)

    async def exchange(
        self,
        request: httpx.Request,
        headers: Sequence[tuple[str, str]],
        content: bytes | AsyncIterator[bytes] | None,
        limits: Mapping[str, float | None],
    ) -> httpx.Response:
        """Send a request and return its answer with what of the body may be given out.

        ``request`` tells method and address; ``limits`` are those of httpx, in seconds.
        """
        started = time.perf_counter()
        try:
            answer = await self._send(request, headers, content, limits)
        except Exception as error:
            found = self._response(*self._salvaged(error, request), request)
        else:
            try:
                raw = await body.read(answer, self._limit)
            finally:
                answer.close() if not answer.content.is_eof() else answer.release()
            found = self._response(answer.status, _given(answer), raw, request)
        found.elapsed = timedelta(seconds=time.perf_counter() - started)
        return found

    async def _stream(
        self, request: httpx.Request, headers: Sequence[tuple[str, str]], content: Any, limits: Mapping[str, Any]
    ) -> httpx.Response:
        try:
            answer = await self._send(request, headers, content, limits)
        except Exception as error:
            status, headers_read, rest = self._salvaged(error, request)
            begun = _BrokenOff(rest, error)
            return httpx.Response(
                status, headers=headers_read, stream=begun, request=request, extensions={**self._known}
            )
        if 300 <= answer.status < 400:  # httpx reads it whole where it follows redirects
            raw = await body.read(answer, self._limit)
            answer.close()
            return self._response(answer.status, answer.raw_headers, raw, request)
        try:
            unpacker = unpacker_for(answer.headers.get("Content-Encoding", ""))
        except NotPacked as error:
            answer.close()
            stream = _BrokenOff(b"", error)
            return httpx.Response(
                answer.status, headers=_given(answer), stream=stream, request=request, extensions={**self._known}
            )
        extensions = {**self._known, "gateway.unpacked": unpacker is not None}
        pieces = _Pieces(answer, unpacker)
        return httpx.Response(
            answer.status, headers=_given(answer), stream=pieces, request=request, extensions=extensions
        )

    async def _send(
        self, request: httpx.Request, headers: Sequence[tuple[str, str]], content: Any, limits: Mapping[str, Any]
    ) -> aiohttp.ClientResponse:
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        url = _encoded(str(request.url))
        way = proxy_from_environment(url.scheme, url.host or "", url.port) if self._by_environment else self._way
        login = None if way is None else way.headers
        if login and url.scheme == "http":  # the proxy reads the request itself; there is no tunnel to ask for
            headers, login = [*headers, *login.items()], None
        return await self.client.request(
            request.method,
            url,
            proxy=None if way is None else way.url,
            proxy_headers=login,
            headers=headers,
            data=content or None,
            allow_redirects=False,
            auto_decompress=False,
            compress=False,
            timeout=_limits(limits.get("connect"), limits.get("read"), limits.get("pool")),
        )

    def _salvaged(self, error: Exception, request: httpx.Request) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Return status, headers and what came of the body of an answer against the protocol; raises if it is none."""
        seen = head.seen_of(error)
        if not seen:
            _raise_as_httpx(error)
        if (found := head.decided(seen)) is None:
            shown = " ".join(seen[:_SHOWN].decode(errors="replace").split())
            text = f"what came is no answer of HTTP ({str(error) or type(error).__name__}): it begins with {shown!r}"
            raise httpx.RemoteProtocolError(text, request=request) from error
        given = [pair for pair in found.headers if pair[0].lower() not in _PACKED]
        return found.status, given, found.rest[: self._limit]

    def _response(self, status: int, headers: Any, content: bytes, request: httpx.Request) -> httpx.Response:
        whole = httpx.ByteStream(content)
        found = httpx.Response(status, headers=headers, stream=whole, request=request, extensions={**self._known})
        found.read()
        return found


def _given(answer: aiohttp.ClientResponse) -> Sequence[tuple[bytes, bytes]]:
    """Return the headers that fit what is given out."""
    if "Content-Encoding" not in answer.headers:
        return answer.raw_headers
    return [pair for pair in answer.raw_headers if pair[0].lower() not in _PACKED]


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse, unpacker: Unpacker | None) -> None:
        self._answer = answer
        self._unpacker = unpacker

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in body.stream(self._answer, self._unpacker):
                yield piece
        except NotPacked as error:
            raise httpx.DecodingError(str(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _raise_as_httpx(error)

    async def aclose(self) -> None:
        if self._answer.content.is_eof():
            self._answer.release()
        else:
            self._answer.close()


class _BrokenOff(httpx.AsyncByteStream):
    """A body of which no more can be had: its answer is against the protocol."""

    def __init__(self, begun: bytes, error: Exception) -> None:
        self._begun = begun
        self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._begun
        raise httpx.RemoteProtocolError(f"against the protocol: {self._error}") from self._error


def _raise_as_httpx(error: Exception) -> NoReturn:
    if isinstance(error, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)):
        raise httpx.ProxyError(str(error)) from error
    if isinstance(error, aiohttp.ClientConnectorError):
        raise httpx.ConnectError(str(error)) from error
    try:
        with map_aiohttp_exceptions():
            raise error
    except aiohttp.ClientError:
        raise httpx.RemoteProtocolError(str(error)) from error


@lru_cache(maxsize=1024)
def _encoded(url: str) -> yarl.URL:
    return yarl.URL(url, encoded=True)  # else yarl writes escapes its own way, and the other side gets other bytes


@lru_cache(maxsize=64)
def _limits(connect: float | None, read: float | None, pool: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(sock_connect=connect, sock_read=read, connect=pool)


def _session(context: ssl.SSLContext, connections: int, reach: Reach) -> Callable[[], aiohttp.ClientSession]:
    def make() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=context,
            limit=connections,
            keepalive_timeout=KEEP_IDLE,
            socket_factory=None if reach is Reach.ANY else socket_for(reach),
        )
        # There is no public switch for either: https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/client.py.
        # Tests with servers that drop a reused connection, and that answer nonsense, tell when these no longer work.
        factory: Any = partial(head.Protocol, asyncio.get_running_loop())
        connector._factory = factory
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=head.LARGEST,
            max_field_size=head.LARGEST,
            max_headers=_MOST_HEADERS,  # the head as a whole is bounded
        )
        session._retry_connection = False
        return session

    return make
