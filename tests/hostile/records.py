"""Records that are huge, deep or odd, as the bodies in which doForms' API gives them; RECORD-KEY stands for the key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from gateway.doforms.simulator import field
from tests.hostile.routes import EXPENSIVE

_ITEMS = 12_000
_LONG = 8 << 20


def _record(fields: list[dict[str, Any]]) -> bytes:
    return json.dumps({"key": "RECORD-KEY", "id": "RECORD-KEY", "fields": fields}).encode()


def _costly(kind: str) -> bytes:
    long = "www.example.com " * (_LONG // 16) if kind in ("wordwrap", "urlize", "replace") else ""
    few = [f"item {number}" for number in range(_ITEMS)]
    others = [f"other {number}" for number in range(_ITEMS)]
    return _record([field("kind", kind), field("a", few), field("b", others), field("long", long)])


def _long_section() -> bytes:
    inside = [field(f"q{number}", "1") for number in range(3000)]
    return _record([{"name": "s" * 1_000_000, "fields": inside}])


def _many_rows() -> bytes:
    row = json.dumps({"fields": [field(f"q{number}", "answer") for number in range(40)]})
    rows = ", ".join([row] * ((42 << 20) // len(row)))
    return b'{"key": "RECORD-KEY", "id": "RECORD-KEY", "fields": [{"name": "t", "fields": [%s]}]}' % rows.encode()


def _deep() -> bytes:
    return b'{"key": "RECORD-KEY", "fields": [{"name": "d", "data": "x", "x": %s%s}]}' % (b"[" * 90_000, b"]" * 90_000)


def _long_number() -> bytes:
    return b'{"key": "RECORD-KEY", "fields": [{"name": "n", "data": "integer", "integer": %s}]}' % (b"9" * 500_000)


def _exponent() -> bytes:
    return _record([field("kind", "none")])[:-2] + b', {"name": "e", "data": "decimal", "decimal": 1e999999999}]}'


_ODD: Mapping[str, Callable[[], bytes]] = {
    "a section's name of a megabyte": _long_section,
    "42 MB of rows": _many_rows,
    "90,000 lists in each other": _deep,
    "a number of 500,000 digits": _long_number,
    "an exponent of 999,999,999": _exponent,
}
RECORDS: Mapping[str, bytes] = {
    **{name: make() for name, make in _ODD.items()},
    **{name: _costly(name) for name in EXPENSIVE},
}
"""By what is wrong with them."""
