"""The proxy through which requests leave, where there is no other way out."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import yarl

ENVIRONMENT = "env"
"""What stands for the proxies that the environment names: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY."""
_SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where requests go first, and what tells the proxy who sends them."""

    url: yarl.URL
    headers: dict[str, str] | None = field(default=None, repr=False)


def fault_of_proxy(text: str) -> str | None:
    """Tell what is wrong with a proxy as it is configured, without quoting it; None: nothing."""
    if text == ENVIRONMENT:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "it is no web address"
    if parts.scheme.startswith("socks"):
        return "it is a SOCKS proxy, and only those that speak HTTP can be used"
    if parts.scheme not in _SCHEMES or not parts.hostname or port == 0 or any(char.isspace() for char in text):
        return "it is no web address"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return "it has a path behind its port, and a proxy has none"
    return None


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
