"""Rendering a delivery's options, and keeping what was rendered so that every retry sends the same."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, to_jsonable_python

from gateway.destinations.faults import RAISED, describe_fault
from gateway.destinations.options import Options, TemplateMark, Unrendered
from gateway.errors import TemplateError
from gateway.templates.compiled import Node, flat
from gateway.templates.values import Strict

O = TypeVar("O", bound=Options)  # noqa: E741

_TAG = "$"
_FROM_TEXT: Mapping[str, Any] = {
    "decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "bytes": base64.b64decode,
    "table": lambda value: {key: _untagged(item) for key, item in value.items()},
}


@dataclass(slots=True)
class Plan:
    """What is to be rendered of options, free of the plugin's classes: another process can do it."""

    fields: Sequence[tuple[str, Any]]
    """Key in the file, and what stands there: templates, plain values, or plans of what is below."""
    per_row: frozenset[str]
    """The keys that are rendered for each row."""
    rows: Any
    """What gives the rows; None: there is no such option, or it was left out."""
    takes_rows: bool
    """Whether something is rendered for each row, if it is set."""


def planned(options: BaseModel) -> Plan:
    """Take options apart into what is to be rendered; what was left out stays left out."""
    kind, given = type(options), options.model_fields_set
    fields = [(key, _part(getattr(options, name))) for name, key, _ in _fields(kind) if name in given]
    if not _takes_rows(kind):
        return Plan(fields, frozenset(), None, False)
    per_row = frozenset(key for name, key, per_row in _fields(kind) if per_row and name in given)
    return Plan(fields, per_row, _part(getattr(options, "rows", None)), True)


def _part(value: Any) -> Any:
    if isinstance(value, Node):
        return value
    if isinstance(value, BaseModel):
        return planned(value)
    if isinstance(value, Mapping):
        return {key: _part(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_part(item) for item in value]
    if isinstance(value, Unrendered):  # of a kind that is not ours
        raise TemplateError("a template field was not compiled by the gateway")
    return value if isinstance(value, (str, int, float, Decimal, type(None))) else to_jsonable_python(value)


def render(options: BaseModel, names: Mapping[str, Any]) -> dict[str, Any]:
    """Render every template field of (unrendered) options; what was left out stays left out.

    Raises:
        TemplateError: a template cannot be evaluated for this record.
    """
    return carry_out(planned(options), names)


def carry_out(plan: Plan, names: Mapping[str, Any]) -> dict[str, Any]:
    """Render what was planned.

    Raises:
        TemplateError: a template cannot be evaluated for this record.
    """
    data: dict[str, Any] = {}
    for key, value in plan.fields:
        if key in plan.per_row:
            data[key] = None if value is None else _per_row(plan.rows, value, names)
        else:
            data[key] = _value(value, names)
    if plan.takes_rows and isinstance(data.get("rows"), Mapping):
        data["rows"] = [data["rows"]]  # doForms gave one row without a list around it
    return data


@cache
def _fields(kind: type[BaseModel]) -> Sequence[tuple[str, str, bool]]:
    """Return name, key in the file, and whether it is rendered for each row, of every field."""
    return [
        (name, info.alias or name, any(isinstance(mark, TemplateMark) and mark.per_row for mark in _marks(info)))
        for name, info in kind.model_fields.items()
    ]


def _marks(info: Any) -> list[Any]:
    """Return the marks of a field, also those inside ``PerRow[…] | None``."""
    found = list(info.metadata)
    pending = [info.annotation]
    while pending:
        kind = pending.pop()
        found += getattr(kind, "__metadata__", ())
        pending += [each for each in getattr(kind, "__args__", ()) if each is not kind]
    return found


@cache
def _takes_rows(kind: type[BaseModel]) -> bool:
    return any(per_row for _, _, per_row in _fields(kind))


def _per_row(rows: Any, value: Any, names: Mapping[str, Any]) -> list[Any]:
    if rows is None:
        return [_value(value, {**names, "row": {}})]
    found = _value(rows, names)
    if found is None:
        return []
    if isinstance(found, Mapping):
        found = [found]
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise TemplateError(f"`rows` gives {found!r:.60}, which is no list of rows")
    return [_value(value, {**names, "row": row}) for row in flat(found)]


def _value(part: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(part, Node):
        return part.evaluate(names)
    if isinstance(part, Plan):
        return carry_out(part, names)
    if isinstance(part, Mapping):
        return {key: _value(item, names) for key, item in part.items()}
    return [_value(item, names) for item in part] if isinstance(part, list) else part


def validate_rendered(kind: type[O], data: Mapping[str, Any]) -> O:
    """Validate rendered data as the options of a plugin.

    Raises:
        TemplateError: naming each option whose value does not fit.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        told = "; ".join(map(_misfit, error.errors(include_url=False)))
        raise TemplateError(f"what was rendered does not fit the options: {told}") from None
    except RAISED as error:
        raise TemplateError(
            f"a bug of the plugin: its options failed over what was rendered: {describe_fault(error)}"
        ) from error


def _misfit(one: ErrorDetails) -> str:
    found = "" if one["type"] == "missing" else f" (found {one['input']!r:.80})"
    return f"{'.'.join(str(piece) for piece in one['loc'])}: {one['msg']}{found}"


def pin(data: Mapping[str, Any]) -> bytes:
    """Write rendered data down without loss; equal data gives equal bytes.

    Raises:
        TemplateError: a value of it cannot be kept.
    """
    try:
        try:
            plain = _PLAIN.encode(data)
            if f'"{_TAG}"' not in plain:
                return plain.encode()
        except TypeError:
            pass  # it holds what JSON has not
        return json.dumps(_tagged(data), separators=(",", ":")).encode()
    except (ValueError, RecursionError) as error:  # a whole number of thousands of digits, lists in lists in lists
        raise TemplateError(f"what was rendered cannot be kept: {error}") from None


_PLAIN = json.JSONEncoder(separators=(",", ":"))


def unpin(kept: bytes) -> dict[str, Any]:
    """Read back what `pin` wrote."""
    data = _untagged(json.loads(kept))
    assert isinstance(data, dict), "pinned data is a table"
    return data


def _tagged(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Strict):
        return _tagged(dict(value))
    if isinstance(value, Mapping):
        table = {str(key): _tagged(item) for key, item in value.items()}
        return {_TAG: ["table", table]} if _TAG in table else table
    if isinstance(value, (list, tuple)):
        return [_tagged(item) for item in value]
    if isinstance(value, Decimal):
        return {_TAG: ["decimal", str(value)]}
    if isinstance(value, bytes):
        return {_TAG: ["bytes", base64.b64encode(value).decode()]}
    for kind in (datetime, date, time):  # a datetime is a date too
        if isinstance(value, kind):
            return {_TAG: [kind.__name__, value.isoformat()]}
    raise TemplateError(f"a template gives {value!r:.60}, a {type(value).__name__}, which cannot be kept")


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _TAG in value:
        kind, inner = value[_TAG]
        return _FROM_TEXT[kind](inner)
    return {key: _untagged(item) for key, item in value.items()}
