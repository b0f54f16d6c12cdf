"""The request that a delivery makes, as data: the same for sending and for showing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode

from gateway.api import Delivery, Rejected, select_attachments, to_json, whole_object
from gateway_rest.auth import Read
from gateway_rest.headers import faults_of, merged
from gateway_rest.multipart import Multipart, make_multipart
from gateway_rest.options import RestOptions, RestSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, ready to send."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | Multipart | None


def build_request(settings: RestSettings, delivery: Delivery[RestOptions], *, read: Read) -> Request:
    """Return the request of a delivery; ``read`` reads the settings. Raises Rejected."""
    options = delivery.options
    for fault in faults_of(options.headers):
        raise Rejected(fault)
    kind, body = _whole_body(delivery)
    return Request(
        method=options.method,
        url=_url(read(settings.url), options.path, options.query),
        headers=merged(
            {"Content-Type": kind} if kind else {},
            settings.sent(options.headers, read=read),
            {"Idempotency-Key": delivery.key},
        ),
        body=body,
    )


def fault_of_path(path: str) -> str | None:
    """Tell why a path cannot be added to the address; what was put into it is percent-encoded already."""
    if "#" in path:
        return f"the path {path!r} holds a #, and what is behind one is never sent"
    pieces = path.partition("?")[0].removeprefix("/").removesuffix("/").split("/")
    # Some servers cut a segment at its first ; before they look at the dots.
    if any(unquote(piece).partition(";")[0] in (".", "..") for piece in pieces):
        return f"the path {path!r} would leave its place: a segment of it is '.' or '..'"
    if "" in pieces[:-1] or (pieces[-1] == "" and len(pieces) > 1):
        return f"the path {path!r} would leave its place: a segment of it is empty"
    return None


def _url(base: str, path: str, query: Mapping[str, Any]) -> str:
    if fault := fault_of_path(path):
        raise Rejected(fault)
    joined = base if not path else f"{base.rstrip('/')}/{path.lstrip('/')}"
    encoded = _encoded(query)
    if not encoded:
        return joined
    return f"{joined}{'&' if '?' in joined else '?'}{encoded}"


def _encoded(table: Mapping[str, Any]) -> str:
    return urlencode(_pairs(table), errors="replace")


def _pairs(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, _plain(item)) for name, value in table.items() for item in _items(value)]


def _items(value: Any) -> list[Any]:
    return [item for item in (value if isinstance(value, list) else [value]) if item is not None]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).strip('"')


def _whole_body(delivery: Delivery[RestOptions]) -> tuple[str | None, bytes | Multipart | None]:
    """Return content type and body; with attachments the body is a part, or each field of a form is one."""
    options = delivery.options
    if not options.attach:
        return _body(delivery)
    values: list[tuple[str, str | None, bytes]]
    if options.form is not None:
        values = [(name, None, value.encode(errors="replace")) for name, value in _pairs(options.form)]
    else:
        kind, body = _body(delivery)
        values = [] if body is None else [(options.body_as, kind, body)]
    found = select_attachments(delivery.attachments, options.attach)
    whole = make_multipart(delivery.key, values, [(options.attach_as or one.place, one) for one in found])
    return whole.content_type, whole


def _body(delivery: Delivery[RestOptions]) -> tuple[str | None, bytes | None]:
    options = delivery.options
    if options.body is not None:
        return "text/plain; charset=utf-8", options.body.encode(errors="replace")
    if options.form is not None:
        return "application/x-www-form-urlencoded", _encoded(options.form).encode()
    if "json_" in options.model_fields_set:
        return "application/json", to_json(options.json_).encode()
    if options.whole:
        return "application/json", to_json(whole_object(delivery)).encode()
    return None, None
