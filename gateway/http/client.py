"""Making clients: httpx with aiohttp's transport."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from gateway.http.body import LIMIT
from gateway.http.places import Reach
from gateway.http.transport import STREAMED, Transport
from gateway.text.proxy_address import fault_of_proxy

TIMEOUT = 30.0
"""Seconds for each step of a request, unless the caller says otherwise."""
CONNECTIONS = 100
_KEPT_BY_ONCE = frozenset({"transport", "headers", "base_url", "params", "limits"})
"""Options of httpx that need nothing of what `_Once` leaves out."""


def build_client(
    *,
    ca: str | Path | None = None,
    cert: tuple[str, str] | str | None = None,
    timeout: float | httpx.Timeout | None = TIMEOUT,
    connections: int = CONNECTIONS,
    limit: int = LIMIT,
    hide: Callable[[str], str] | None = None,
    proxy: str | SecretStr | None = None,
    reach: Reach = Reach.ANY,
    **options: Any,
) -> httpx.AsyncClient:
    """Build a client that never repeats a request, follows no redirect and keeps no cookies.

    Of an answer it gives out at most ``limit`` bytes of the body, unpacked; what breaks off, drips or is against the
    protocol after the status line is given out as far as it came. ``client.stream`` gives all of it in pieces, and
    raises where it breaks off. ``hide`` takes secrets out of what `gateway.http.excerpt` tells of an answer.

    ``proxy`` is the address of a proxy that requests go through, or ``"env"`` for those that the environment names;
    ``reach`` is what may be connected to where there is none.

    ``ca`` is the path of a file of certificate authorities that are trusted instead of the system's, or its text,
    ``cert`` a client certificate (a file, or certificate and key), ``timeout`` seconds for each step (None: no limit);
    the rest are options of `httpx.AsyncClient`.

    Raises:
        OSError: ``ca`` or ``cert`` cannot be read.
        ssl.SSLError: they are no certificates.
        ValueError: ``proxy`` is none.
    """
    if isinstance(proxy, SecretStr):
        proxy = proxy.get_secret_value()
    if proxy is not None and (fault := fault_of_proxy(proxy)):
        raise ValueError(f"`proxy` cannot be used: {fault}. Write the address of an HTTP proxy, or env")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # below that it logs whole URLs, and they can be secret
    transport = Transport(_context(ca, cert), connections=connections, limit=limit, hide=hide, proxy=proxy, reach=reach)
    jar = CookieJar(policy=DefaultCookiePolicy(allowed_domains=()))
    given: dict[str, Any] = {"transport": transport, "cookies": jar, "follow_redirects": False} | options
    plain = options.keys() <= _KEPT_BY_ONCE
    made = _Once(timeout=timeout, **given) if plain else _Client(timeout=timeout, **given)
    if "accept-encoding" not in httpx.Headers(options.get("headers")):
        made.headers["accept-encoding"] = "identity"
    return made


def _context(ca: str | Path | None, cert: tuple[str, str] | str | None) -> ssl.SSLContext:
    if ca is not None and "-----BEGIN" in str(ca):
        context = ssl.create_default_context(cadata=str(ca))
    else:
        context = ssl.create_default_context(cafile=ca)
    if cert is not None:
        context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    return context


class _Client(httpx.AsyncClient):
    """A client that tells the transport whether the caller bounds an answer itself."""

    async def send(self, request: httpx.Request, *, stream: bool = False, **more: Any) -> httpx.Response:
        """Send a request."""
        request.extensions = {**request.extensions, STREAMED: stream}
        return await super().send(request, stream=stream, **more)


class _Once(_Client):
    """A client without redirects, cookies and event hooks: what httpx does to go round them takes most of its time."""

    def __init__(self, *, transport: httpx.AsyncBaseTransport, **options: Any) -> None:
        super().__init__(transport=transport, **options)
        self._straight = transport
        self._plain = {"base_url", "params"}.isdisjoint(options)
        self._always: list[tuple[str, str]] | None = None

    async def request(self, method: str, url: httpx.URL | str, **more: Any) -> httpx.Response:
        """Send a request; one with nothing but headers and bytes is put together without merging."""
        content, headers = more.get("content"), more.get("headers")
        if (
            not self._plain
            or not isinstance(self._straight, Transport)
            or not isinstance(headers, dict)
            or not (content is None or isinstance(content, bytes))
            or any(_is_given(value) for name, value in more.items() if name not in ("content", "headers"))
            or (parsed := _parsed(str(url))).userinfo
        ):
            return await super().request(method, url, **more)
        if self._always is None:
            self._always = list(self.headers.multi_items())
        own = {name.lower() for name in headers}
        every = [*(pair for pair in self._always if pair[0] not in own), *headers.items()]
        request = httpx.Request(method, parsed, stream=httpx.ByteStream(content or b""))  # fills in no headers
        return await self._straight.exchange(request, every, content, self.timeout.as_dict())

    async def send(self, request: httpx.Request, *, stream: bool = False, **more: Any) -> httpx.Response:
        """Send a request; one that is streamed, has a login or follows redirects goes httpx's long way."""
        asked = any(value is not httpx.USE_CLIENT_DEFAULT for value in more.values())
        streamed = not isinstance(request.stream, httpx.ByteStream)
        if asked or stream or streamed or request.url.userinfo:
            return await super().send(request, stream=stream, **more)
        answer = await self._straight.handle_async_request(request)
        await answer.aread()
        return answer


def _is_given(value: Any) -> bool:
    return value is not None and value is not httpx.USE_CLIENT_DEFAULT


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)
