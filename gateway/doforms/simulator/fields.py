"""Answers of a form as doForms writes them, and JSON that keeps every digit."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

Fields = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""Python values by question name, or raw doForms fields."""

_WORDS: tuple[tuple[type | tuple[type, ...], str, str], ...] = (
    (bool, "boolean", "checkbox"),
    (int, "integer", "numeric"),
    ((float, Decimal), "decimal", "numeric"),
    (datetime, "dateTime", "date time"),
    (date, "date", "date"),
    (time, "time", "time"),
    (list, "strings", "choose multiple"),
)
"""Python type, the word in ``data``, the word in ``type``; bool before int and datetime before date: they inherit."""

_MARK = uuid.uuid4().hex
_MARKED = re.compile(f'"{_MARK}([^"]*)"')


def field(name: str, value: Any, type: str | None = None) -> dict[str, Any]:
    """Write an answer as doForms does: the property named by ``data`` holds the value; tables nest rows of fields.

    A dict becomes a section, a list of dicts a table, None a question without an answer; a dict that stands for a photo
    or file (with ``key`` and ``fileName``) is an answer.
    """
    if isinstance(value, dict) and {"key", "fileName"} <= value.keys():
        return {"name": name, "data": "blob", "type": type or "image", "blob": value}
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        rows = [{"fields": [field(inner, item) for inner, item in row.items()]} for row in value]
        return {"name": name, "type": type or "table", "fields": rows}
    if isinstance(value, dict):
        inside = [field(inner, item) for inner, item in value.items()]
        return {"name": name, "type": type or "section", "fields": inside}
    word, kind = next(((word, kind) for types, word, kind in _WORDS if isinstance(value, types)), ("text", "text"))
    if isinstance(value, date | time):
        value = value.isoformat()
    return {"name": name, "data": word, "type": type or kind} | ({} if value is None else {word: value})


def raw_fields(fields: Fields) -> list[dict[str, Any]]:
    """Return raw fields for either way of giving them."""
    if isinstance(fields, Mapping):
        return [field(name, value) for name, value in fields.items()]
    for index, one in enumerate(fields):
        if not isinstance(one, Mapping):
            raise TypeError(f"fields[{index}] is {one!r}: give doForms fields as objects, or one object of values")
    return [dict(one) for one in fields]


def to_json(data: Any, *, indent: int | None = None) -> bytes:
    """Write JSON, decimals with all their digits, which `json.dumps` cannot."""
    return _MARKED.sub(r"\1", json.dumps(data, default=_marked, indent=indent)).encode()


def _marked(value: Any) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        return f"{_MARK}{value}"
    raise TypeError(f"{value!r} is not JSON")
