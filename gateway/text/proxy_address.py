"""The address of a proxy as it is configured: whether it can be one."""

from __future__ import annotations

from urllib.parse import urlsplit

ENVIRONMENT = "env"
"""What stands for the proxies that the environment names: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY."""


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
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or any(map(str.isspace, text)):
        return "it is no web address"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return "it has a path behind its port, and a proxy has none"
    return None
