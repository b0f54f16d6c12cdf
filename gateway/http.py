"""The one way out over HTTP: httpx with aiohttp's transport, which sends each request exactly once.

httpx's own transport delivers 700 requests a second here, aiohttp's 4,500. What aiohttp does behind the caller's back
is switched off: it would send PUT and DELETE again when a reused connection drops.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import httpx
import yarl
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import map_aiohttp_exceptions

TIMEOUT = 30.0
"""Seconds for each step of a request, unless the caller says otherwise."""
LONGEST_WAIT = 86400.0
"""Seconds; what a server asks for beyond this is not waited for."""
_KEPT_BY_ONCE = frozenset({"transport", "headers", "base_url", "params", "limits"})
"""Options of httpx that need nothing of what `_Once` leaves out."""
_LOOKED_AT = 2048
_SHOWN = 300
CONNECTIONS = 100
KEEP_IDLE = 15.0
"""Seconds that an idle connection is kept; below what servers usually allow, so that few are found closed."""


def build_client(
    *,
    ca: str | Path | None = None,
    cert: tuple[str, str] | str | None = None,
    timeout: float | httpx.Timeout | None = TIMEOUT,
    connections: int = CONNECTIONS,
    **options: Any,
) -> httpx.AsyncClient:
    """Build a client that never repeats a request, follows no redirect and keeps no cookies.

    ``ca`` is the path of a file of certificate authorities that are trusted instead of the system's, or its text,
    ``cert`` a client certificate (a file, or certificate and key), ``timeout`` seconds for each step (None: no limit);
    the rest are options of `httpx.AsyncClient`.

    Raises:
        OSError: ``ca`` or ``cert`` cannot be read.
        ssl.SSLError: they are no certificates.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # below that it logs whole URLs, and they can be secret
    if ca is not None and "-----BEGIN" in str(ca):
        context = ssl.create_default_context(cadata=str(ca))
    else:
        context = ssl.create_default_context(cafile=ca)
    if cert is not None:
        context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    transport = _Transport(verify=context, client=_session(context, connections))
    jar = CookieJar(policy=DefaultCookiePolicy(allowed_domains=()))
    given: dict[str, Any] = {"transport": transport, "cookies": jar, "follow_redirects": False} | options
    plain = options.keys() <= _KEPT_BY_ONCE
    return _Once(timeout=timeout, **given) if plain else httpx.AsyncClient(timeout=timeout, **given)


class _Once(httpx.AsyncClient):
    """A client without redirects, cookies and event hooks: what httpx does to go round them takes most of its time."""

    def __init__(self, *, transport: httpx.AsyncBaseTransport, **options: Any) -> None:
        super().__init__(transport=transport, **options)
        self._straight = transport
        self._plain = {"base_url", "params"}.isdisjoint(options)
        self._always = list(self.headers.multi_items())

    async def request(self, method: str, url: httpx.URL | str, **more: Any) -> httpx.Response:
        """Send a request; one with nothing but headers and bytes is put together without merging."""
        content, headers = more.get("content"), more.get("headers")
        if (
            not self._plain
            or not isinstance(self._straight, _Transport)
            or not isinstance(headers, dict)
            or not (content is None or isinstance(content, bytes))
            or any(_is_given(value) for name, value in more.items() if name not in ("content", "headers"))
            or (parsed := _parsed(str(url))).userinfo
        ):
            return await super().request(method, url, **more)
        own = {name.lower() for name in headers}
        every = [*(pair for pair in self._always if pair[0] not in own), *headers.items()]
        request = httpx.Request(method, parsed, stream=httpx.ByteStream(content or b""))  # fills in no headers
        return await self._straight.exchange(request, every, content, self.timeout.as_dict())

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: Any = httpx.USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        """Send a request; one that is streamed, has a login or follows redirects goes httpx's long way."""
        asked = auth is not httpx.USE_CLIENT_DEFAULT or follow_redirects is not httpx.USE_CLIENT_DEFAULT
        streamed = not isinstance(request.stream, httpx.ByteStream)
        if asked or stream or streamed or request.url.userinfo:
            return await super().send(request, stream=stream, auth=auth, follow_redirects=follow_redirects)
        if isinstance(self._straight, _Transport):
            headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers.raw]
            limits = request.extensions.get("timeout", {})
            return await self._straight.exchange(request, headers, await request.aread(), limits)
        answer = await self._straight.handle_async_request(request)
        await answer.aread()
        return answer


class _Transport(AiohttpTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; what the transport lets through of aiohttp's errors, such as a foreign protocol, is told."""
        try:
            return await super().handle_async_request(request)
        except aiohttp.ClientError as error:
            raise httpx.RemoteProtocolError(str(error)) from error

    async def exchange(
        self,
        request: httpx.Request,
        headers: Sequence[tuple[str, str]],
        content: bytes | None,
        limits: Mapping[str, float | None],
    ) -> httpx.Response:
        """Send a request that is whole and read the whole answer, without a stream in between.

        ``request`` tells method and address; ``limits`` are those of httpx, in seconds.
        """
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        started = time.perf_counter()
        try:
            async with self.client.request(
                request.method,
                _encoded(str(request.url)),
                headers=headers,
                data=content or None,
                allow_redirects=False,
                auto_decompress=False,
                compress=False,
                timeout=_limits(limits.get("connect"), limits.get("read"), limits.get("pool")),
            ) as answer:
                body = await answer.read()
        except Exception as error:
            _raise_as_httpx(error)
        whole = httpx.ByteStream(body)
        found = httpx.Response(answer.status, headers=answer.raw_headers, stream=whole, request=request)
        found.read()
        found.elapsed = timedelta(seconds=time.perf_counter() - started)
        return found


def _is_given(value: Any) -> bool:
    return value is not None and value is not httpx.USE_CLIENT_DEFAULT


def _raise_as_httpx(error: Exception) -> NoReturn:
    try:
        with map_aiohttp_exceptions():
            raise error
    except aiohttp.ClientError:
        raise httpx.RemoteProtocolError(str(error)) from error


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


@lru_cache(maxsize=1024)
def _encoded(url: str) -> yarl.URL:
    return yarl.URL(url, encoded=True)  # else yarl writes escapes its own way, and the other side gets other bytes


@lru_cache(maxsize=64)
def _limits(connect: float | None, read: float | None, pool: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(sock_connect=connect, sock_read=read, connect=pool)


def _session(context: ssl.SSLContext, connections: int) -> Callable[[], aiohttp.ClientSession]:
    def make() -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=connections, keepalive_timeout=KEEP_IDLE),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        # There is no public switch: https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/client.py. A test with a
        # server that drops a reused connection tells when this no longer works.
        session._retry_connection = False
        return session

    return make


def certainly_unsent(error: httpx.HTTPError) -> bool:
    """Tell whether a failed request cannot have reached the other side: refused, no such host, no TLS.

    False means only that nobody knows: also a connect time-out of this transport can come after sending. A
    `httpx.ConnectError` without a cause is one that a test's transport raised.
    """
    if type(error) is httpx.ConnectError and error.__cause__ is None:
        return True
    return isinstance(error.__cause__, aiohttp.ClientConnectorError) or isinstance(
        error, (httpx.UnsupportedProtocol, httpx.InvalidURL)
    )


def excerpt(answer: httpx.Response) -> str:
    """Return the beginning of an answer's body on one line after ``": "``, for an error text; empty if it is."""
    text = " ".join(answer.content[:_LOOKED_AT].decode(errors="replace").split())
    return f": {text[:_SHOWN]}" if text else ""


def retry_after(answer: httpx.Response) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for: a number, or a date (RFC 9110, 10.2.3).

    A date is by the server's clock, which its ``Date`` header tells: ours may be another.
    """
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_WAIT)
    if (moment := _date(text)) is None:
        return None
    now = _date(answer.headers.get("date", "")) or datetime.now(UTC)
    return min(max(0.0, (moment - now).total_seconds()), LONGEST_WAIT)


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
