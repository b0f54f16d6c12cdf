"""Reading what doForms POSTs: strict about what identifies it, tolerant about everything else."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.doforms.record_bounds import holds_more
from gateway.errors import Misfit, NotANotification
from gateway.models import Event, Notification

LONGEST_KEY = 512
"""Characters that an identifier may have; the store's columns hold as many."""
MOST_BYTES = 1024
"""Bytes of an identifier in UTF-8: PostgreSQL's indexes hold two of them in a row, with 2,704 at most."""
_DEEPEST = 100
_MOST_VALUES = 10_000
"""Values and names in the body; reading them takes some milliseconds."""
_UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")
"""What no text column takes: NUL and lone surrogates."""

_EVENTS = {
    "create": Event.CREATE,
    "created": Event.CREATE,
    "add": Event.CREATE,
    "added": Event.CREATE,
    "update": Event.UPDATE,
    "updated": Event.UPDATE,
    "edit": Event.UPDATE,
    "edited": Event.UPDATE,
    "delete": Event.DELETE,
    "deleted": Event.DELETE,
    "status": Event.STATUS,
    "status changed": Event.STATUS,
    "statuschanged": Event.STATUS,
    "status change": Event.STATUS,
}


def parse_notification(body: bytes, *, path_event: Event | None, received: datetime) -> Notification:
    """Read the body of a notification; ``path_event`` is what the path tells, used where the body tells no known event.

    A byte order mark before it is taken off, as RFC 8259 (section 8.1) allows.

    Raises:
        NotANotification: saying what is wrong with it.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    data = _object(body)
    return Notification(
        key=_identifier(data, "key"),
        webservice_id=_identifier(data, "webserviceId"),
        event=_event(data.get("event"), path_event),
        status=_text(data.get("status")),
        customer_key=_text(data.get("customerKey")),
        submission_key=_record_key(data, "submissionKey"),
        dispatch_key=_record_key(data, "dispatchKey"),
        created=_time(data.get("createTime")),
        received=received,
        body=body,
    )


def fits(key: str) -> bool:
    """Tell whether an index of the store can hold a key."""
    return len(key) <= LONGEST_KEY and (len(key) <= MOST_BYTES // 4 or len(key.encode()) <= MOST_BYTES)


def _object(body: bytes) -> Mapping[str, Any]:
    if not body or body.isspace():
        raise NotANotification("the body is empty; a notification is a JSON object", code=Misfit.EMPTY)
    if holds_more(body, _MOST_VALUES):
        raise NotANotification(
            f"the body holds more than {_MOST_VALUES} values and names or is nested too deep; a notification has a few",
            code=Misfit.TOO_MANY,
        )
    try:
        data = json.loads(body.decode())  # decoded here: json guesses at UTF-16
    except UnicodeDecodeError as error:
        raise NotANotification(_not_utf8(body, error), code=Misfit.ENCODING) from None
    except json.JSONDecodeError as error:
        if b"\0" in body[:4]:
            raise NotANotification(_not_utf8(body, error), code=Misfit.ENCODING) from None
        text = f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise NotANotification(text, code=Misfit.NOT_JSON) from None
    except RecursionError:
        raise NotANotification("the body is nested too deep", code=Misfit.TOO_DEEP) from None
    except ValueError as error:  # a number with thousands of digits
        text = f"the body is not JSON that can be read: {error}"
        raise NotANotification(text, code=Misfit.NOT_JSON) from None
    if not isinstance(data, dict):
        text = f"the body is a JSON {_kind(data).removeprefix('a ')}; a notification is an object"
        raise NotANotification(text, code=Misfit.NO_OBJECT)
    if body.count(b"{") + body.count(b"[") > _DEEPEST and _deeper_than(data, _DEEPEST):
        text = f"the body is nested too deep: more than {_DEEPEST} levels"
        raise NotANotification(text, code=Misfit.TOO_DEEP)
    return data


def _not_utf8(body: bytes, error: ValueError) -> str:
    """Say what a body is that is not UTF-8 text, and what to do."""
    place = f"byte {error.start} cannot be decoded" if isinstance(error, UnicodeDecodeError) else "it has NULs in it"
    hint = ""
    if body.startswith(b"\x1f\x8b"):
        hint = "; it is packed by gzip: have it sent with the header Content-Encoding: gzip"
    elif b"\0" in body[:4] or body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        hint = "; it looks like UTF-16 or UTF-32: have it sent as UTF-8, as JSON is between systems"
    return f"the body is not UTF-8 text: {place}{hint}"


def _deeper_than(data: Any, levels: int) -> bool:
    level = [data]
    for _ in range(levels):
        level = [
            item
            for value in level
            for item in (value.values() if isinstance(value, dict) else value)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return False
    return True


def _identifier(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None:
        raise NotANotification(f"`{name}` is missing", code=Misfit.IDENTIFIER)
    return _checked(name, value)


def _record_key(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    return None if value is None or value == "" else _checked(name, value)


def _checked(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise NotANotification(f"`{name}` is {_kind(value)}; it must be a text", code=Misfit.IDENTIFIER)
    if value.isprintable() and not value.isspace() and value and fits(value):
        return value
    if not value.strip():
        raise NotANotification(f"`{name}` is empty", code=Misfit.IDENTIFIER)
    if len(value) > LONGEST_KEY:
        raise NotANotification(
            f"`{name}` has {len(value)} characters; at most {LONGEST_KEY} are allowed", code=Misfit.IDENTIFIER
        )
    if _UNKEEPABLE.search(value):
        raise NotANotification(f"`{name}` holds a NUL or a lone surrogate", code=Misfit.IDENTIFIER)
    if not fits(value):
        raise NotANotification(
            f"`{name}` has {len(value.encode())} bytes in UTF-8; at most {MOST_BYTES} are allowed",
            code=Misfit.IDENTIFIER,
        )
    return value


def _event(value: Any, path_event: Event | None) -> Event:
    known = _EVENTS.get(value) if isinstance(value, str) else None
    if known is None and isinstance(value, str):
        known = _EVENTS.get(" ".join(re.split(r"[\s_-]+", value.strip().lower())))
    return known or path_event or Event.UPDATE


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return (value if value.isprintable() else _UNKEEPABLE.sub("\N{REPLACEMENT CHARACTER}", value))[:LONGEST_KEY]


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
