"""The proxy through which requests leave, where there is no other way out."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import yarl


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where requests go first, and what tells the proxy who sends them."""

    url: yarl.URL
    headers: dict[str, str] | None = field(default=None, repr=False)


def parse_proxy(text: str) -> Proxy:
    """Return a proxy by its address, which may hold user and password (RFC 7617)."""
    parts = urlsplit(text)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    url = yarl.URL(f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}")
    if not parts.username and not parts.password:
        return Proxy(url)
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return Proxy(url, {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"})


def proxy_from_environment(scheme: str, host: str, port: int | None) -> Proxy | None:
    """Return the proxy that the environment names for a place; None: it is reached directly."""
    found = getproxies_environment()
    named = found.get(scheme) or found.get("all")
    place = host if port is None else f"{host}:{port}"
    if not named or proxy_bypass(place):
        return None
    return parse_proxy(named if "://" in named else f"http://{named}")
