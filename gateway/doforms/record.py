"""Decoding a record as the REST API gives it: questions by their data names, tables as rows, numbers without loss."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import structlog

from gateway.doforms.failures import NotARecord
from gateway.models import Record, RecordKind

log = structlog.get_logger(__name__)

_KNOWN = frozenset(
    [
        "text",
        "integer",
        "strings",
        "decimal",
        "number",
        "date",
        "time",
        "dateTime",
        "boolean",
        "blob",
        "location",
        "string",
        "double",
        "long",
    ]
)
_ABOUT = frozenset({"name", "data", "type", "label", "options", "fields", "key", "id"})
"""Properties of a field that are never its value."""
_DEEPEST = 100
_WRAPPERS = ("submission", "dispatch", "record")
_warned: set[tuple[str, str]] = set()


def decode_record(raw: bytes, *, kind: RecordKind) -> Record:
    """Decode the body of a fetched record.

    Raises:
        NotARecord: the body is empty, no JSON, or JSON without a key and fields.
    """
    data = _record_object(raw)
    collected = _Collected()
    fields = data.get("fields")
    if isinstance(fields, list):
        _collect(fields, "", collected, 0)
    elif isinstance(fields, dict):
        _collect_flat(fields, collected)
    else:
        _collect_flat({name: value for name, value in data.items() if name not in {"key", "id"}}, collected)
    return Record(
        kind=kind,
        key=str(data.get("key") or data["id"]),
        id=None if data.get("id") is None else str(data["id"]),
        fields={**collected.tables, **collected.unique()},
        tables=collected.tables,
        paths=collected.paths,
        raw=data,
    )


@dataclass(slots=True)
class _Collected:
    paths: dict[str, Any] = field(default_factory=dict)
    by_name: dict[str, list[Any]] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, path: str, name: str, value: Any) -> None:
        self.paths[path] = value
        self.by_name.setdefault(name, []).append(value)

    def unique(self) -> dict[str, Any]:
        """Return the questions whose name stands once; the others are reached by their path only."""
        return {name: values[0] for name, values in self.by_name.items() if len(values) == 1}


def _record_object(raw: bytes) -> dict[str, Any]:
    if not raw.strip():
        raise NotARecord("doForms answered with an empty body instead of a record")
    try:
        data = json.loads(raw, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise NotARecord(f"doForms answered with something that is no JSON instead of a record: {_cut(raw)}") from None
    for wrapper in _WRAPPERS:
        if isinstance(data, dict) and isinstance(data.get(wrapper), dict) and "fields" not in data:
            data = data[wrapper]
    if not isinstance(data, dict) or not _is_key(data.get("key") or data.get("id")):
        raise NotARecord(f"doForms answered with JSON that is no record (it has no key): {_cut(raw)}")
    return data


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _is_key(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and bool(value)


def _cut(raw: bytes) -> str:
    return raw[:200].decode(errors="replace")


def _collect(fields: list[Any], prefix: str, into: _Collected, depth: int) -> None:
    if depth > _DEEPEST:
        raise NotARecord(f"the record's fields are nested deeper than {_DEEPEST} levels")
    for one in fields:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            continue
        name = one["name"]
        path = f"{prefix}{name}"
        if isinstance(inner := one.get("fields"), list):
            if (rows := _rows(inner, depth + 1)) is not None:
                into.tables[name] = rows
                into.paths[path] = rows
            else:
                _collect(inner, f"{path}.", into, depth + 1)
            continue
        value = _value(one)
        if _is_flat_table(value):
            into.tables[name] = [dict(row) for row in value]
            into.paths[path] = into.tables[name]
        else:
            into.add(path, name, value)


def _rows(inner: list[Any], depth: int) -> list[dict[str, Any]] | None:
    """Return the rows if a field's nested fields are rows: lists of fields, or fields' holders without a name."""
    if not inner:
        return None
    if all(isinstance(row, list) for row in inner):
        return [_row(row, depth) for row in inner]
    if all(isinstance(row, dict) and "name" not in row and isinstance(row.get("fields"), list) for row in inner):
        return [_row(row["fields"], depth) for row in inner]
    return None


def _row(fields: list[Any], depth: int) -> dict[str, Any]:
    collected = _Collected()
    _collect(fields, "", collected, depth)
    return {**collected.tables, **collected.unique()}


def _collect_flat(values: Mapping[str, Any], into: _Collected) -> None:
    """Take the flattened form: question names as properties, tables as lists of objects."""
    for name, value in values.items():
        if _is_flat_table(value):
            into.tables[name] = [dict(row) for row in value]
            into.paths[name] = into.tables[name]
        else:
            into.add(name, name, value)


def _is_flat_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _value(one: Mapping[str, Any]) -> Any:
    word = one.get("data")
    if isinstance(word, str) and word in one and word not in _ABOUT:
        if word not in _KNOWN:
            _warn(str(one.get("name")), word)
        return one[word]
    if isinstance(word, str) and word in _KNOWN:
        return None  # a question of a known kind that was not answered
    others = list(_others(one))
    if len(others) != 1:
        return None
    _warn(str(one.get("name")), others[0])
    return one[others[0]]


def _others(one: Mapping[str, Any]) -> Iterator[str]:
    return (name for name in one if name not in _ABOUT)


def _warn(question: str, word: str) -> None:
    if (question, word) not in _warned and len(_warned) < 10_000:
        _warned.add((question, word))
        log.warning(
            "a question holds a kind of value that is not known; it is passed through", question=question, kind=word
        )
