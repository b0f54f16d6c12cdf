"""The request that a delivery makes, as data: the same for sending and for showing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from gateway.api import Delivery, Rejected, to_json, whole_object
from gateway_rest.options import RestOptions, RestSettings

_WITHOUT_BODY = frozenset({"GET", "DELETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, ready to send."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


def build_request(settings: RestSettings, delivery: Delivery[RestOptions]) -> Request:
    """Return the request of a delivery, without the destination's own secrets; raises Rejected."""
    options = delivery.options
    kind, body = _body(delivery)
    headers = {**settings.headers, **({"Content-Type": kind} if kind else {}), **options.headers}
    for name, value in headers.items():
        if any(ord(character) < 32 or ord(character) == 127 for character in name + value):
            raise Rejected(f"the header {name!r} would hold a line break or another control character")
        if not (name + value).isascii():
            raise Rejected(f"the header {name!r} would hold {value!r}; only ASCII can be sent in a header")
    return Request(
        method=options.method,
        url=_url(settings.url, options.path, options.query),
        headers={**headers, "Idempotency-Key": delivery.key},
        body=body,
    )


def _url(base: str, path: str, query: Mapping[str, Any]) -> str:
    joined = base if not path else f"{base.rstrip('/')}/{path.lstrip('/')}"
    if any(piece.replace("%2E", ".").replace("%2e", ".") in (".", "..") for piece in path.partition("?")[0].split("/")):
        raise Rejected(f"the path {path!r} would leave its place: a segment of it is '.' or '..'")
    pairs = [(name, _plain(item)) for name, value in query.items() for item in _items(value)]
    if not pairs:
        return joined
    return f"{joined}{'&' if '?' in joined else '?'}{urlencode(pairs)}"


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return [item for item in value if item is not None] if isinstance(value, list) else [value]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).strip('"')


def _body(delivery: Delivery[RestOptions]) -> tuple[str | None, bytes | None]:
    options = delivery.options
    if options.body is not None:
        return "text/plain; charset=utf-8", options.body.encode()
    if options.form is not None:
        pairs = [(name, _plain(item)) for name, value in options.form.items() for item in _items(value)]
        return "application/x-www-form-urlencoded", urlencode(pairs).encode()
    if "json_" in options.model_fields_set:
        return "application/json", to_json(options.json_).encode()
    if options.method in _WITHOUT_BODY:
        return None, None
    return "application/json", to_json(whole_object(delivery)).encode()
