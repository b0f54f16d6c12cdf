"""Walks through the fields of a form, nested or flattened."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from gateway.doforms.form_values import BLOB, EMPTY, NAMELESS, ROW, TABLE, Collected
from gateway.doforms.record_bounds import below

_WITHOUT_ANSWER = frozenset(
    {"text", "string", "strings", "integer", "long", "number", "decimal", "double", "boolean"}
    | {"date", "time", "dateTime"}
)
"""Words in `data` whose property is absent only because the question was not answered."""
KNOWN = _WITHOUT_ANSWER | {BLOB, "location", TABLE, ROW, EMPTY, "list", "object", "null"}
"""Kinds of value that are known."""
_ABOUT = frozenset({"name", "data", "type", "label", "options", "fields", "key", "id"})
"""Properties of a field that are not its value unless `data` names them."""
_NEVER_A_VALUE = frozenset({"name", "data", "fields"})
_NUMBERED = re.compile(r"\[\d+\]$")
_DEEPEST = 100
"""Levels of sections and tables; what lies deeper is kept as it came, as one value."""


def collect(fields: Sequence[Any], prefix: str, into: Collected, depth: int = 0) -> None:
    """Take the nested form: a list of fields, of which those with ``fields`` inside are sections and tables."""
    for one in fields:
        if isinstance(one, Mapping):
            _field(one, prefix, into, depth)
        elif isinstance(one, list):
            _nameless_section(one, prefix, into, depth)
        elif one is not None:
            into.add(prefix, NAMELESS, one, _kind_of(one))


def collect_flat(values: Mapping[str, Any], prefix: str, into: Collected, depth: int = 0) -> None:
    """Take the flattened form: question names as properties, tables as lists of objects."""
    for name, value in values.items():
        plain = _NUMBERED.sub("", name)  # two questions of one name, which `record` numbered
        _answer(prefix, plain if plain in values else name, value, _kind_of(value), into, depth)


def _field(one: Mapping[str, Any], prefix: str, into: Collected, depth: int) -> None:
    name, inner = _name(one), one.get("fields")
    if isinstance(inner, Mapping):
        collect_flat(inner, prefix if name is None else below(prefix, name), into, depth + 1)
    elif isinstance(inner, list) and inner:
        _inside(name, inner, prefix, into, depth)
    elif not isinstance(inner, list):
        value, kind = _value(one)
        if name is not None or value is not None:
            _answer(prefix, name or NAMELESS, value, kind, into, depth)
        return
    word = one.get("data")  # beside what is inside, a section may have a value of its own
    if isinstance(word, str) and word in one and word not in _NEVER_A_VALUE:
        _answer(prefix, name or NAMELESS, one[word], word, into, depth)
    elif not inner and name is not None:
        into.add_empty(prefix, name)


def _inside(name: str | None, inner: list[Any], prefix: str, into: Collected, depth: int) -> None:
    if name is None:
        _nameless_section(inner, prefix, into, depth)
    elif depth >= _DEEPEST:
        into.add(prefix, name, inner, "list")
    elif (rows := _rows(inner, depth)) is not None:
        into.add_table(prefix, name, rows)
    else:
        collect(inner, below(prefix, name), into, depth + 1)


def _nameless_section(inner: list[Any], prefix: str, into: Collected, depth: int) -> None:
    """Take a section that nobody named: its questions stand where it stands."""
    if depth >= _DEEPEST:
        into.add(prefix, NAMELESS, inner, "list")
    else:
        collect(inner, prefix, into, depth + 1)


def _answer(prefix: str, name: str, value: Any, kind: str, into: Collected, depth: int) -> None:
    rows = _rows(value, depth, flat=True) if isinstance(value, list) and depth < _DEEPEST else None
    if rows is None:
        into.add(prefix, name, value, kind)
    else:
        into.add_table(prefix, name, rows)


def _rows(items: list[Any], depth: int, *, flat: bool = False) -> list[Collected] | None:
    """Return the rows if that is what a list holds: lists of fields, holders of fields, or flattened objects.

    Only in a value (``flat``) can an object with a name be a row; among nested fields it is a field.
    """
    if any(items) and all(isinstance(row, list) and all(map(_is_field, row)) for row in items):
        return [_row(row, {}, depth + 1) for row in items]
    if items and all(isinstance(row, Mapping) and (flat or "name" not in row) for row in items):
        return [_row_of(row, depth + 1) for row in items]
    return None


def _row_of(row: Mapping[str, Any], depth: int) -> Collected:
    inner = row.get("fields")
    if isinstance(inner, list) and all(map(_is_field, inner)):
        return _row(inner, {name: value for name, value in row.items() if name not in _ABOUT}, depth)
    return _row([], row, depth)


def _row(fields: list[Any], flat: Mapping[str, Any], depth: int) -> Collected:
    made = Collected()
    collect(fields, "", made, depth)
    collect_flat(flat, "", made, depth)
    return made


def _is_field(one: Any) -> bool:
    return isinstance(one, Mapping) and ("name" in one or "fields" in one)


def _name(one: Mapping[str, Any]) -> str | None:
    name = one.get("name")
    if isinstance(name, (int, Decimal)) and not isinstance(name, bool):
        return str(name)
    return name if isinstance(name, str) else None


def _value(one: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the value of a field and its kind: the property that ``data`` names, else the one that is left."""
    word = one.get("data")
    if isinstance(word, str) and word in one and word not in _NEVER_A_VALUE:
        return one[word], word
    if isinstance(word, str) and word in _WITHOUT_ANSWER:
        return None, word  # not answered
    others = {name: value for name, value in one.items() if name not in _ABOUT}
    if not others:
        inner = one.get("fields")
        return inner, _kind_of(inner) if inner is not None or not isinstance(word, str) else word
    kind = word if isinstance(word, str) else next(iter(others))
    return (others if len(others) > 1 else next(iter(others.values()))), kind


def _kind_of(value: Any) -> str:
    """Name the kind of a value where doForms does not."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float, Decimal)):
        return "number"
    return "object" if isinstance(value, Mapping) else "list"
