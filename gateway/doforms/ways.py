"""How doForms is reached: by which proxy, and to which hosts a download may lead."""

from __future__ import annotations

import asyncio
import errno
import fnmatch
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
from pydantic import SecretStr

from gateway.doforms.failures import Gone, Later, Misled, Refused
from gateway.http import Reach, build_client, fault_of_address, is_private

_MOST_HOPS = 5


class Ways:
    """The clients for doForms, by proxy and reach; each is made when it is first needed."""

    def __init__(self, http: httpx.AsyncClient, make: Callable[..., httpx.AsyncClient] = build_client) -> None:
        self._http = http
        self._make = make
        self._made: dict[tuple[str | None, Reach], httpx.AsyncClient] = {}

    def client(self, proxy: SecretStr | str | None = None, reach: Reach = Reach.ANY) -> httpx.AsyncClient:
        """Return the client for a proxy and a reach."""
        address = proxy.get_secret_value() if isinstance(proxy, SecretStr) else proxy
        if address is None and reach is Reach.ANY:
            return self._http
        key = (address, reach)
        if key not in self._made:
            self._made[key] = self._make(proxy=address, reach=reach)
        return self._made[key]

    @asynccontextmanager
    async def followed(
        self, headers: Mapping[bytes, bytes], url: str, *, proxy: SecretStr | str | None, hosts: Sequence[str]
    ) -> AsyncIterator[tuple[httpx.Response, bool]]:
        """Yield the answer where a download leads, and whether that is elsewhere; no other call follows.

        Files may lie with another service. The password is for doForms alone: it goes to no other host, port or scheme,
        nor back from there.

        Raises:
            Misled, Refused: it leads to where it is not followed, or on and on.
        """
        place, reach, sent = httpx.URL(url), Reach.ANY, dict(headers)
        for _ in range(_MOST_HOPS):
            async with _opened(self.client(proxy, reach), place, sent, reach, url) as answer:
                if not answer.has_redirect_location:
                    yield answer, b"Authorization" not in sent
                    return
                location = answer.headers["location"]
            following = next_place(url, place, location, hosts)
            if (following.scheme, following.host, following.port) != (place.scheme, place.host, place.port):
                sent.pop(b"Authorization", None)
            place = following
            reach = await reach_of(url, place, hosts, proxied=proxy is not None)
        raise Refused(f"GET {url} leads on and on")

    async def aclose(self) -> None:
        """Close those that were made here."""
        made, self._made = list(self._made.values()), {}
        for client in made:
            await client.aclose()


@asynccontextmanager
async def _opened(
    client: httpx.AsyncClient, place: httpx.URL, headers: dict[bytes, bytes], reach: Reach, url: str
) -> AsyncIterator[httpx.Response]:
    """Open one hop of a download; raises Misled where its address is out of reach."""
    opening = client.stream("GET", place, headers=headers)
    try:
        answer = await opening.__aenter__()
    except httpx.HTTPError as error:
        if _is_forbidden(error, reach):
            raise Misled(f"GET {url} leads to {place.host}, which is not followed: {error}") from error
        raise
    try:
        yield answer
    finally:
        await answer.aclose()


def next_place(url: str, place: httpx.URL, location: str, hosts: Sequence[str]) -> httpx.URL:
    """Return where a redirect of the download of ``url`` leads, without a login.

    ``hosts`` are the names or patterns of hosts to which it may lead beside that of ``url``.

    Raises:
        Misled: it is not followed.
    """
    try:
        following = place.join(location).copy_with(userinfo=b"", fragment=None)
    except (httpx.InvalidURL, ValueError) as error:
        raise Misled(f"GET {url} leads to {location[:200]!r}, which is no address: {error}") from error
    if following.scheme not in ("https", place.scheme):
        raise Misled(f"GET {url} leads from {place.scheme} to {following.scheme}, which is not followed")
    host = following.host.lower()
    if host != httpx.URL(url).host.lower() and not any(fnmatch.fnmatchcase(host, one) for one in hosts):
        raise Misled(
            f"GET {url} leads to {_origin(following)}, which is not followed: {host} is neither where `api` is nor "
            f"among `attachment_hosts`. If doForms keeps its files there, add {host!r} to `attachment_hosts`"
        )
    return following


async def reach_of(url: str, place: httpx.URL, hosts: Sequence[str], *, proxied: bool) -> Reach:
    """Return what may be connected to for a place to which an answer led.

    The host of ``api`` is where the routes file says it is. An address or ``localhost`` among ``attachment_hosts`` is
    meant to be what it is, and so is any name there where ``api`` itself is in a private network.

    Raises:
        Misled: the place is an address that nothing may lead to, and no socket would tell, since a proxy makes it.
    """
    host = place.host.lower()
    if host == httpx.URL(url).host.lower():
        return Reach.ANY
    literal = _literal(host)
    if (host in hosts and (literal or host == "localhost")) or await _is_private(httpx.URL(url).host):
        reach = Reach.PRIVATE
    else:
        reach = Reach.PUBLIC
    if proxied and literal and (fault := fault_of_address(literal, reach)):
        raise Misled(f"GET {url} leads to {_origin(place)}: {fault}")
    return reach


def _is_forbidden(error: Exception, reach: Reach) -> bool:
    """Tell whether a connection was not made because its address is out of reach."""
    cause: Any = error.__cause__
    if reach is Reach.ANY or not isinstance(cause, aiohttp.ClientConnectorError):
        return False
    return getattr(cause.os_error, "errno", None) == errno.EACCES


def _literal(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None


def _origin(place: httpx.URL) -> str:
    return f"{place.scheme}://{place.netloc.decode('ascii', 'replace')}"


async def _is_private(host: str) -> bool:
    if literal := _literal(host):
        return is_private(literal)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(is_private(str(one[4][0])) for one in found)


def failure_elsewhere(failure: Exception, answer: httpx.Response) -> Exception:
    """Return what follows from a failure at another service, which says nothing of doForms, its password or pace."""
    text = f"{failure}, where {answer.request.url.host} was to hand it out"
    if isinstance(failure, Later):
        return Later(text, retry_after=failure.retry_after)
    return Gone(text) if isinstance(failure, Gone) else Refused(text)
