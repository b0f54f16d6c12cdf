"""Keeps web pages of other sites out: a browser on this machine would carry their requests to the simulator."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.doforms.simulator.api import error

_OWN = frozenset({"same-origin", "none"})
"""What a browser says of a request that this site's own page, or a person, makes (Fetch Metadata, Sec-Fetch-Site)."""
_LOOKS = frozenset({"GET", "HEAD"})
"""Methods that change nothing; what they tell, pages of other sites cannot read."""
_JSON = "application/json"


def refusal_of(request: Request) -> str | None:
    """Tell why a request is refused; None: it is not.

    A browser tells where a request comes from; one whose page has a name that leads to this machine (DNS rebinding) is
    known by that name, as the simulator is called by its address. A form of another site cannot send JSON.
    """
    said = request.headers
    origin, host = said.get("origin"), said.get("host", "")
    if request.method not in _LOOKS:
        if said.get("sec-fetch-site", "none") not in _OWN:
            return "a page of another site made this request"
        if origin is not None and urlsplit(origin).netloc != host:
            return f"a page of {origin} made this request, and this is {host}"
    browser = origin is not None or any(name.startswith("sec-fetch-") for name in said)
    if browser and not _is_address(host):
        return f"a browser calls this {host}: call it by its address, such as 127.0.0.1"
    if request.method == "POST" and said.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        return f"the body must be sent as JSON: add the header Content-Type: {_JSON}, with curl by --json"
    return None


def guarded(routes: Iterable[Route]) -> list[Route]:
    """Return routes that refuse what `refusal_of` refuses, by 403."""
    return [Route(one.path, _guarded(one.endpoint), methods=one.methods) for one in routes]


def _guarded(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        why = refusal_of(request)
        return await endpoint(request) if why is None else error(403, why)

    return handle


def _is_address(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
