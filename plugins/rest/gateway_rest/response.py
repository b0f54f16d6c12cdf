"""Maps an answer or a failure of the service to what it means for a delivery."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

import httpx

from gateway.api import (
    DeliveryError,
    Misconfigured,
    Receipt,
    Rejected,
    Unavailable,
    Uncertain,
    certainly_unsent,
    excerpt,
    proxy_status,
    retry_after,
)
from gateway_rest.options import RestOptions

_LATER = frozenset({408, 425, 429})
_LOGIN = frozenset({401, 403})
_PROXY_REMEDY = "Look whether the user and password in `proxy` are right, and whether it lets this service through"
_ID_NAMES = ("id", "key", "uuid")
_NO_ANSWER_OF_HTTP = 5
"""Attempts after which a service that answers with something else than HTTP is not asked again: it may have acted."""
_SHOWN = 300
_PROXY_LOGIN = 407

Hide: TypeAlias = Callable[[str], str]
"""Takes secrets out of what the service said."""


def receipt_of(answer: httpx.Response, options: RestOptions, *, hide: Hide) -> Receipt:
    """Return the receipt of a success.

    Raises:
        Rejected, Unavailable, Misconfigured: what the status means.
    """
    status = answer.status_code
    if status in options.success or (not options.success and answer.is_success):
        found = hide(_id_in(answer))
        details = {"status": status} | ({"id": found} if found else {})
        shown = f"HTTP {status}{f', id {found}' if found else ''}"
        return Receipt(summary=f"{options.method} answered {shown}", details=details)
    raise _failure(answer, options, hide)


def _failure(answer: httpx.Response, options: RestOptions, hide: Hide) -> DeliveryError:
    status = answer.status_code
    text = f"the service answered {status}{excerpt(answer, hide=hide)}"
    if status in options.permanent:
        return Rejected(text)
    if status in options.retryable or status in _LATER or status >= 500:
        return Unavailable(text, retry_after=retry_after(answer))
    if status in _LOGIN:
        return Misconfigured(f"{text}. Look whether `auth` is right and may do this")
    if status == _PROXY_LOGIN:
        return Misconfigured(f"{text}. {_PROXY_REMEDY}")
    if answer.is_redirect:
        return Rejected(f"{text}, {redirect(answer, hide=hide)}")
    return Rejected(text)


def redirect(answer: httpx.Response, *, hide: Hide) -> str:
    """Tell where a redirect leads."""
    place = hide(answer.headers.get("location", "nowhere"))[:_SHOWN]
    return f"a redirect to {place!r}; redirects are not followed"


def failure_of(error: httpx.HTTPError | httpx.InvalidURL, *, hide: Hide) -> DeliveryError:
    """Return what a request without an answer means: unsent for certain, or nobody knows."""
    text = hide(str(error) or type(error).__name__)
    if isinstance(error, httpx.InvalidURL):
        return Rejected(f"the address cannot be used: {text}")
    if (status := proxy_status(error)) is not None:
        told = f"the proxy answered {status} instead of opening the way to the service: {text}"
        if status in (_PROXY_LOGIN, 403):
            return Misconfigured(f"{told}. {_PROXY_REMEDY}")
        return Unavailable(told, whole=True)
    if isinstance(error, httpx.RemoteProtocolError):
        told = f"no answer came: {text}. Look whether `url` is right, and at the service"
        return Uncertain(told, most_attempts=_NO_ANSWER_OF_HTTP)
    if certainly_unsent(error):
        what = "the proxy" if isinstance(error, httpx.ProxyError) else "the service"
        return Unavailable(f"{what} cannot be reached: {text}", whole=True)
    return Uncertain(f"no answer came: {text}")


def _id_in(answer: httpx.Response) -> str:
    if "json" not in answer.headers.get("content-type", ""):
        return ""
    try:
        data = json.loads(answer.content)
    except (ValueError, RecursionError):
        return ""
    found = [data.get(name) for name in _ID_NAMES] if isinstance(data, dict) else []
    return next((str(one)[:200] for one in found if isinstance(one, (str, int)) and not isinstance(one, bool)), "")
