"""Decoding a record as the REST API gives it: questions by their data names, tables as rows, numbers without loss."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import structlog

from gateway.doforms.failures import NotARecord
from gateway.errors import TemplateError
from gateway.models import Record, RecordKind

log = structlog.get_logger(__name__)

_NUMBERS = frozenset({"integer", "long", "number", "decimal", "double"})
_SIMPLE = _NUMBERS | {"text", "string", "strings", "boolean", "date", "time", "dateTime"}
"""Words in `data` whose property is absent only because the question was not answered."""
_KNOWN = _SIMPLE | {"blob", "location"}
_ABOUT = frozenset({"name", "data", "type", "label", "options", "fields", "key", "id"})
"""Properties of a field that are not its value unless `data` names them."""
_DEEPEST = 100
_WRAPPERS = ("submission", "dispatch", "record")
_warned: set[tuple[str, str]] = set()


class Answers(dict[str, Any]):
    """Values by question name. A name that stands in several places is refused when it is asked for."""

    def __init__(self, values: Mapping[str, Any], several: Mapping[str, Sequence[str]]) -> None:
        super().__init__(values)
        self._several = several

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value; raises TemplateError, naming the paths, for a name that stands in several places."""
        self._refuse(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self._refuse(name)
        return super().__getitem__(name)

    def _refuse(self, name: str) -> None:
        if name in self._several:
            raise TemplateError(
                f"{name!r} stands in several places of the form; ask for one of its paths: "
                f"{' or '.join(repr(path) for path in self._several[name])}"
            )


def decode_record(raw: bytes, *, kind: RecordKind) -> Record:
    """Decode the body of a fetched record.

    Raises:
        NotARecord: the body is empty, no JSON, JSON without a key, or an error.
    """
    data = _record_object(raw)
    collected = _Collected()
    fields = data.get("fields")
    if isinstance(fields, list):
        _collect(fields, "", collected, 0)
    elif isinstance(fields, dict):
        _collect_flat(fields, collected)
    else:
        _collect_flat({name: value for name, value in data.items() if name not in {"key", "id", "fields"}}, collected)
    return Record(
        kind=kind,
        key=str(data.get("key") or data["id"]),
        id=None if data.get("id") is None else str(data["id"]),
        fields=collected.by_name(),
        tables=collected.by_name(collected.tables),
        paths=collected.paths,
        raw=data,
    )


@dataclass(slots=True)
class _Collected:
    paths: dict[str, Any] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)
    """The paths that are tables."""
    named: dict[str, list[str]] = field(default_factory=dict)
    """Name -> the paths where it stands."""

    def add(self, prefix: str, name: str, value: Any, *, table: bool = False) -> None:
        path, number = f"{prefix}{name}", 1
        while path in self.paths:  # the same name twice in one section: neither is lost
            number += 1
            path = f"{prefix}{name}[{number}]"
        self.paths[path] = value
        self.named.setdefault(name, []).append(path)
        if table:
            self.tables.add(path)

    def by_name(self, among: Collection[str] | None = None) -> Answers:
        named = {name: [path for path in paths if among is None or path in among] for name, paths in self.named.items()}
        single = {name: self.paths[paths[0]] for name, paths in named.items() if len(paths) == 1}
        return Answers(single, {name: paths for name, paths in named.items() if len(paths) > 1})

    def as_row(self) -> Answers:
        """Return everything in one: a row has no paths beside it."""
        row = self.by_name()
        row |= {path: self.paths[path] for paths in self.named.values() if len(paths) > 1 for path in paths}
        return row


def _record_object(raw: bytes) -> dict[str, Any]:
    if not raw.strip():
        raise NotARecord("doForms answered with an empty body instead of a record")
    try:
        data = json.loads(raw, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise NotARecord(f"doForms answered with something that is no JSON instead of a record: {_cut(raw)}") from None
    for wrapper in _WRAPPERS:
        if _is_wrapped(data, wrapper):
            data = data[wrapper]
    if not isinstance(data, dict) or not _has_key(data):
        raise NotARecord(f"doForms answered with JSON that is no record (it has no key): {_cut(raw)}")
    if "fields" not in data and ("error" in data or "errors" in data):
        raise NotARecord(f"doForms answered with an error instead of a record: {_cut(raw)}")
    return data


def _is_wrapped(data: Any, wrapper: str) -> bool:
    """Tell whether the record stands inside; a question of that name in a flattened record is no wrapper."""
    if not isinstance(data, dict) or "fields" in data or not isinstance(data.get(wrapper), dict):
        return False
    return "fields" in data[wrapper] or not _has_key(data)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _has_key(data: Mapping[str, Any]) -> bool:
    value = data.get("key") or data.get("id")
    return isinstance(value, (str, int)) and not isinstance(value, bool) and bool(value)


def _cut(raw: bytes) -> str:
    return raw[:200].decode(errors="replace")


def _collect(fields: list[Any], prefix: str, into: _Collected, depth: int) -> None:
    if depth > _DEEPEST:
        raise NotARecord(f"the record's fields are nested deeper than {_DEEPEST} levels")
    for one in fields:
        if not isinstance(one, dict):
            continue
        name, inner = one.get("name"), one.get("fields")
        if not isinstance(name, str):
            if isinstance(inner, list):  # a section that nobody named
                _collect(inner, prefix, into, depth + 1)
            continue
        if not isinstance(inner, list):
            _add(prefix, name, _value(one), into, depth)
        elif (rows := _rows(inner, depth)) is not None:
            into.add(prefix, name, rows, table=True)
        else:
            _collect(inner, f"{prefix}{name}.", into, depth + 1)


def _add(prefix: str, name: str, value: Any, into: _Collected, depth: int) -> None:
    rows = _rows(value, depth, flat=True) if isinstance(value, list) else None
    into.add(prefix, name, value if rows is None else rows, table=rows is not None)


def _rows(items: list[Any], depth: int, *, flat: bool = False) -> list[dict[str, Any]] | None:
    """Return the rows if that is what a list holds: lists of fields, holders of fields, or flattened objects.

    Only in a value (``flat``) can an object with a name be a row; among nested fields it is a field.
    """
    if any(items) and all(isinstance(row, list) and all(isinstance(one, dict) for one in row) for row in items):
        return [_row(row, depth + 1) for row in items]
    if items and all(isinstance(row, dict) and (flat or "name" not in row) for row in items):
        return [_row(row["fields"], depth + 1) if isinstance(row.get("fields"), list) else dict(row) for row in items]
    return None


def _row(fields: list[Any], depth: int) -> dict[str, Any]:
    collected = _Collected()
    _collect(fields, "", collected, depth)
    return collected.as_row()


def _collect_flat(values: Mapping[str, Any], into: _Collected) -> None:
    """Take the flattened form: question names as properties, tables as lists of objects."""
    for name, value in values.items():
        table = _is_flat_table(value)
        into.add("", name, [dict(row) for row in value] if table else value, table=table)


def _is_flat_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _value(one: Mapping[str, Any]) -> Any:
    word = one.get("data")
    if isinstance(word, str) and word in one and word not in {"name", "data", "fields"}:
        _warn(one["name"], word)
        return one[word]
    if isinstance(word, str) and word in _SIMPLE:
        return None  # not answered
    others = {name: value for name, value in one.items() if name not in _ABOUT}
    if not others:
        return None
    _warn(one["name"], next(iter(others)))
    return others if len(others) > 1 else next(iter(others.values()))


def _warn(question: str, word: str) -> None:
    if word not in _KNOWN and (question, word) not in _warned and len(_warned) < 10_000:
        _warned.add((question, word))
        log.warning(
            "a question holds a kind of value that is not known; it is passed through", question=question, kind=word
        )
