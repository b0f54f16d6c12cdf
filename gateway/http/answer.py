"""Reads an answer: its beginning, ``Retry-After``, and whether the request was sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import httpx

LONGEST_WAIT = 86400.0
"""Seconds; what a server asks for beyond this is not waited for."""
HIDE = "gateway.hide"
"""Key of the extension of an answer that holds what takes secrets out of its text."""
_LOOKED_AT = 2048
_SHOWN = 300


def certainly_unsent(error: httpx.HTTPError) -> bool:
    """Tell whether a failed request cannot have reached the other side: refused, no such host, no TLS, no tunnel.

    False means only that nobody knows: also a connect time-out of this transport can come after sending. A
    `httpx.ConnectError` without a cause is one that a test's transport raised.
    """
    if type(error) is httpx.ConnectError and error.__cause__ is None:
        return True
    return isinstance(error.__cause__, (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError)) or isinstance(
        error, (httpx.UnsupportedProtocol, httpx.InvalidURL)
    )


def proxy_status(error: Exception) -> int | None:
    """Return what a proxy answered instead of opening the way, such as 407; None: that is not what failed."""
    cause = error.__cause__
    return cause.status if isinstance(cause, aiohttp.ClientHttpProxyError) else None


def excerpt(answer: httpx.Response, *, hide: Callable[[str], str] | None = None) -> str:
    """Return the beginning of an answer's body on one line after ``": "``, for an error text; empty if it is.

    Secrets are taken out before it is cut: by ``hide``, else by what the gateway gave the client that made the request.
    """
    hide = hide or answer.extensions.get(HIDE)
    text = " ".join(answer.content[:_LOOKED_AT].decode(errors="replace").split())
    if hide is not None:
        text = hide(text)
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
