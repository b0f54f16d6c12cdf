"""TOML's traps: keys that landed in the wrong table, and patterns that fit nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError
from pydantic.fields import FieldInfo

from gateway.config.diagnostics import Entry, Problems
from gateway.config.patterns import fits
from gateway.config.schema import (
    DeliveryTable,
    DestinationTable,
    DoformsTable,
    GatewayTable,
    ReconcileTable,
    RouteTable,
    WebhookTable,
    WebserviceTable,
)
from gateway.config.validate import keys_of, models_in
from gateway.errors import TemplateError
from gateway.mistakes import Place, nearest
from gateway.templates.template import compile_expression, mentions

ROUTE_ONLY = keys_of(RouteTable).keys() - keys_of(DeliveryTable).keys()
"""Keys of a route that a delivery does not have."""

_MISNAMED = {
    "route": ("[route]", "Write each route as [[routes]]"),
    "deliver": ("[deliver]", "Write each delivery as [[routes.deliver]], below its [[routes]]"),
    "delivery": ("[delivery]", "Write each delivery as [[routes.deliver]], below its [[routes]]"),
    "deliveries": ("[deliveries]", "Write each delivery as [[routes.deliver]], below its [[routes]]"),
}
_HOMES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("[gateway]", GatewayTable),
    ("[doforms]", DoformsTable),
    ("[webhook]", WebhookTable),
    ("[reconcile]", ReconcileTable),
    ("[[routes.deliver]]", DeliveryTable),
    ("[[routes]]", RouteTable),
    ("[destinations.NAME]", DestinationTable),
    ("[webservices.NAME]", WebserviceTable),
)
_CORE_WATCHED = frozenset({"required", "enabled", "dry_run", "order", "on_doubt", "retry", "timeout", "when"})
"""Core keys of a delivery whose values hardly ever stand in a column, a header or a query."""


def misnamed_top(key: str) -> tuple[str, str] | None:
    """Tell what is meant by a top-level table such as ``[route]``."""
    if key not in _MISNAMED:
        return None
    found, remedy = _MISNAMED[key]
    return f"{found} is no table of a routes file", remedy


def home_of(key: str, *, but: str = "") -> str | None:
    """Name the table that a key belongs to, other than the table ``but``."""
    if key == "include":
        return "the top of the file, before the first table"
    return next((label for label, model in _HOMES if key in keys_of(model) and label != but), None)


def misplaced_in(label: str, model: type[BaseModel]) -> Any:
    """Make the judge of unknown keys in a core table: do they belong to another one?"""

    def judge(path: Place) -> tuple[str, str] | None:
        key = str(path[-1])
        home = home_of(key, but=label)
        if len(path) != 1 or home is None or nearest(key, keys_of(model)):
            return None
        return f"`{key}` is no key of {label}", f"It belongs to {home}: move it there"

    return judge


def misplaced_in_delivery(table: Mapping[str, Any], options: Mapping[str, FieldInfo]) -> Any:
    """Make the judge of unknown keys in a delivery: route keys, and keys that landed in a table inside."""

    def judge(path: Place) -> tuple[str, str] | None:
        key = str(path[-1])
        if len(path) == 1:
            if key not in ROUTE_ONLY:
                return None
            return (
                f"`{key}` is a key of the route and stands inside a delivery",
                f"Move `{key}` above the first [[routes.deliver]]",
            )
        inside = next(str(piece) for piece in reversed(path[:-1]) if isinstance(piece, str))
        if key not in table and (key in options or key in keys_of(DeliveryTable)):
            return _inside(key, inside)
        return None

    return judge


def _inside(key: str, inside: str) -> tuple[str, str]:
    return f"`{key}` is inside `{inside}`", "move it above the sub-table"


@dataclass(frozen=True, slots=True)
class _Level:
    """A table with named options, and the options it could still have."""

    options: Mapping[str, FieldInfo]
    table: Mapping[str, Any]


def find_swallowed(entry: Entry, options: type[BaseModel], problems: Problems) -> None:
    """Find options of a delivery that TOML put into a sub-table of free names (columns, headers, query)."""
    core = {key: info for key, info in keys_of(DeliveryTable).items() if key in _CORE_WATCHED}
    levels = [_Level({**core, **keys_of(options)}, entry.table)]
    for path, key in _swallowed(keys_of(options), entry.table, levels, ()):
        inside = next(str(piece) for piece in reversed(path) if isinstance(piece, str))
        found, remedy = _inside(key, inside)
        literal = f"if it is really meant as a name in `{inside}`, write its value as a template: \"{{{{ '...' }}}}\""
        problems.add(entry, (*path, key), found, f"{remedy[:1].upper()}{remedy[1:]}; {literal}")


def _swallowed(
    options: Mapping[str, FieldInfo], table: Mapping[str, Any], levels: list[_Level], path: Place
) -> Iterator[tuple[Place, str]]:
    for name, info in options.items():
        value = table.get(name)
        if isinstance(value, dict) and _has_free_names(info.annotation):
            yield from (((*path, name), key) for key, item in value.items() if _is_swallowed(key, item, levels))
            continue
        nested = [(path_, item) for path_, item in _tables(value, (*path, name))]
        for model in models_in(info.annotation):
            inner = keys_of(model)
            for inner_path, item in nested:
                yield from _swallowed(inner, item, [*levels, _Level(inner, item)], inner_path)


def _tables(value: Any, path: Place) -> Iterator[tuple[Place, dict[str, Any]]]:
    if isinstance(value, dict):
        yield path, value
    elif isinstance(value, list):
        yield from (((*path, index), item) for index, item in enumerate(value) if isinstance(item, dict))


def _has_free_names(annotation: Any) -> bool:
    """Tell whether a field is a table whose keys the user chooses."""
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type):
        return issubclass(origin, Mapping)
    return any(_has_free_names(part) for part in get_args(annotation))


def _is_swallowed(key: str, value: Any, levels: Iterable[_Level]) -> bool:
    for level in levels:
        info = level.options.get(key)
        if info is not None and key not in level.table and _is_literal(value) and _accepts(info, key, value):
            return True
    return False


def _is_literal(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_literal(item) for item in value.values())
    if isinstance(value, list):
        return all(_is_literal(item) for item in value)
    return not (isinstance(value, str) and ("{{" in value or "{%" in value))


def _accepts(info: FieldInfo, key: str, value: Any) -> bool:
    """Tell whether an option would take this literal value; one that takes anything proves nothing."""
    if key == "when":
        return _reads_like_when(value)
    if info.annotation is Any:
        return False
    kind: Any = info.annotation
    for mark in info.metadata:
        kind = Annotated[kind, mark]
    try:
        TypeAdapter(kind).validate_python(value)
    except (ValidationError, PydanticSchemaGenerationError):
        return False
    return True


def _reads_like_when(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(mentions(compile_expression(value)))
    except TemplateError:
        return False


def fits_any(patterns: Iterable[str], name: str | None) -> bool:
    """Tell whether a name fits one of the patterns; one that is not known may fit."""
    return name is None or any(fits(pattern, name) for pattern in patterns)


def find_fitting_nothing(
    entry: Entry, kind: str, patterns: Iterable[str], declared: Iterable[str | None], problems: Problems
) -> bool:
    """Refuse a form, project or account pattern that fits no declared web service; tell whether all fit."""
    names = list(declared)
    known = sorted({name for name in names if name})
    lost = [pattern for pattern in patterns if not any(fits_any([pattern], name) for name in names)]
    for pattern in lost:
        close = nearest(pattern, known)
        listed = ", ".join(f'"{name}"' for name in known) or "none"
        hint = f'Did you mean "{close}"? ' if close else ""
        problems.add(
            entry, (kind,), f'"{pattern}" fits no {kind} of a declared web service', f"{hint}Declared: {listed}"
        )
    return not lost
