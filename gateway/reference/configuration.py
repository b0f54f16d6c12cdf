"""The configuration reference: ``python -m gateway.reference.configuration`` prints ``docs/configuration.md``.

Its prose stands in ``describe.md`` beside this module. A line ``<!-- keys: NAME -->`` in it gives way to the keys of
that table, taken from the models that check the routes file, so that the page cannot tell anything else than they do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.config.durations import UNITS, Duration, PositiveDuration, RateText
from gateway.config.load_accounts import FETCH_RETRY, REPORT_RETRY
from gateway.config.schema import (
    AccountTable,
    BreakerTable,
    DeliveryTable,
    DestinationTable,
    DoformsTable,
    GatewayTable,
    ReconcileTable,
    RetryTable,
    RouteTable,
    WebhookTable,
    WebserviceTable,
)
from gateway.config.schema_values import Api, HeaderValues, Hosts, Names, Networks, Patterns, ProxyAddress
from gateway.config.sizes import Size, say_size
from gateway.config.validate import keys_of
from gateway.destinations.options import Secret
from gateway.models import Event, Retry
from gateway.settings import ProcessSettings

TABLES: Mapping[str, type[BaseModel]] = {
    "gateway": GatewayTable,
    "doforms": DoformsTable,
    "webhook": WebhookTable,
    "reconcile": ReconcileTable,
    "accounts": AccountTable,
    "webservices": WebserviceTable,
    "destinations": DestinationTable,
    "routes": RouteTable,
    "deliver": DeliveryTable,
    "retry": RetryTable,
    "breaker": BreakerTable,
}
"""What ``<!-- keys: NAME -->`` names."""

_ALIASES: tuple[tuple[Any, str], ...] = (
    (Duration, "duration"),
    (PositiveDuration, "duration"),
    (RateText, "rate"),
    (Size, "size"),
    (Api, "web address"),
    (Secret, "reference"),
    (ProxyAddress, "web address or reference"),
    (Hosts, "text or list of texts"),
    (HeaderValues, "references"),
    (Patterns, "text or list of texts"),
    (Names, "text or list of texts"),
    (Networks, "address or network, or a list of them"),
)
_KINDS: Mapping[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    ZoneInfo: "time zone",
    Path: "path",
    Any: "any",
}
_LINKS: Mapping[Any, str] = {model: f"[table](#{name})" for name, model in TABLES.items()}
_DEFAULTS: Mapping[tuple[type[BaseModel], str], Any] = {
    (DoformsTable, "fetch_retry"): FETCH_RETRY,
    (DoformsTable, "report_retry"): REPORT_RETRY,
    (DoformsTable, "attachment_retry"): FETCH_RETRY,
    (DestinationTable, "retry"): Retry(),
    **{(RetryTable, name): getattr(Retry(), name) for name in RetryTable.model_fields},
}
"""Defaults that are put under a table after its validation."""
_MARKER = re.compile(r"^<!-- keys: (\w+) -->$", re.MULTILINE)


def describe() -> str:
    """Return the configuration reference as Markdown."""
    prose = Path(__file__).with_name("configuration.md").read_text(encoding="utf-8")
    return _MARKER.sub(lambda marker: _keys(marker[1]), prose)


def _keys(name: str) -> str:
    if name == "process":
        return _table(("variable", "option", "type", "default", "meaning"), _process_settings())
    return _table(("key", "type", "default", "meaning"), _rows(TABLES[name]))


def _table(columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _rows(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    kinds = get_type_hints(model, include_extras=True)
    for (key, info), name in zip(keys_of(model).items(), model.model_fields, strict=True):
        yield f"`{key}`", say_type(kinds[name]), _say_default(model, name, info), _say_meaning(info)


def _process_settings() -> Iterator[tuple[str, ...]]:
    for key, kind, default, meaning in _rows(ProcessSettings):
        name = key.strip("`")
        option = f"`--{name.replace('_', '-')}`"
        yield f"`GATEWAY_{name.upper()}`", option, kind.replace('"', ""), default.replace('"', ""), meaning


def say_type(kind: Any) -> str:
    """Say in words of TOML what a field takes."""
    for alias, words in _ALIASES:
        if _is(kind, alias):
            return words
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return say_type(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(say_type(one) for one in arguments if one is not NoneType)
    if origin is Literal:
        return _one_of(arguments)
    if origin in (list, tuple, frozenset):
        inner = arguments[0]
        return "list of tables" if get_origin(inner) is dict else f"list of {_many(inner)}"
    if origin is dict:
        return f"table of {say_type(arguments[1])}" if _is(arguments[1], HeaderValues) else "table"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _one_of([one.value for one in kind])
    return _LINKS[kind] if kind in _LINKS else _KINDS[kind]


def _many(kind: Any) -> str:
    return "texts" if isinstance(kind, type) and issubclass(kind, Enum) else f"{say_type(kind)}s"


def _is(kind: Any, alias: Any) -> bool:
    """Tell whether a type is an alias, or one that adds validators to it."""
    marks = getattr(alias, "__metadata__", ())
    return get_args(kind)[:1] == get_args(alias)[:1] and getattr(kind, "__metadata__", ())[: len(marks)] == marks


def _one_of(values: Any) -> str:
    *most, last = (f"`{_toml(value, bool)}`" if isinstance(value, bool) else f'`"{value}"`' for value in values)
    return f"{', '.join(most)} or {last}"


def _say_default(model: type[BaseModel], name: str, info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = _DEFAULTS.get((model, name), info.get_default(call_default_factory=True))
    text = _toml(value, get_type_hints(model, include_extras=True)[name])
    return f"`{text}`" if text else "–"


def _toml(value: Any, kind: Any) -> str:
    """Write a default as the routes file would; empty where there is nothing to write."""
    if value is None:
        return ""
    if isinstance(value, tuple) and value:
        return f"[{', '.join(_toml(one, str) for one in value)}]"
    if isinstance(value, frozenset):
        return f"[{', '.join(_toml(one, Event) for one in Event if one in value)}]"
    if isinstance(value, (RetryTable, Retry)):
        return _inline(RetryTable, value)
    if isinstance(value, BreakerTable):
        return _inline(BreakerTable, value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f'"{_duration(value)}"' if "duration" in say_type(kind) else f"{value:g}"
    if say_type(kind) == "size":
        return f'"{say_size(value)}"'
    return str(value) if isinstance(value, int) else f'"{value}"' if value else ""


def _inline(model: type[BaseModel], values: Any) -> str:
    kinds = get_type_hints(model, include_extras=True)
    items = {name: _toml(getattr(values, name), kinds[name]) for name in model.model_fields}
    inside = ", ".join(f"{name} = {text}" for name, text in items.items() if text)
    return f"{{ {inside} }}" if inside else ""


def _duration(seconds: float) -> str:
    unit = next(unit for unit in ("d", "h", "m", "s", "ms") if seconds >= UNITS[unit])
    return f"{seconds / UNITS[unit]:g}{unit}"


def _say_meaning(info: FieldInfo) -> str:
    return " ".join((info.description or "").replace("``", "`").split())


if __name__ == "__main__":
    print(describe(), end="")
