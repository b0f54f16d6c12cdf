"""Validation of one table by its pydantic model, with errors told as problems."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gateway.config.diagnostics import Entry, Problems, show, suggest
from gateway.config.references import STAND_IN, Looked, has_stand_in
from gateway.destinations.faults import RAISED, describe_fault
from gateway.destinations.limited import JUDGED_WITHIN, within
from gateway.destinations.options import Options, Settings
from gateway.mistakes import MISTAKE, Place, nearest

M = TypeVar("M", bound=BaseModel)

Misplaced = Callable[[Place], tuple[str, str] | None]
"""Given the place of an unknown key: what was found and the remedy, if it is known to belong elsewhere."""

_STAND_INS = (
    STAND_IN,
    "1",
    "true",
    "1s",
    "1/s",
    "https://placeholder.invalid",
    "sqlite:////placeholder",
    "a@b.invalid",
)
"""What a value that was not looked up may have to look like, tried in turn."""

_EXPECTED = {
    "string_type": "a text in quotes",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list in brackets",
    "tuple_type": "a list in brackets",
    "set_type": "a list in brackets",
    "frozen_set_type": "a list in brackets",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return a model's fields by the key that the routes file uses."""
    keys = {}
    for name, info in model.model_fields.items():
        alias = info.validation_alias if isinstance(info.validation_alias, str) else info.alias
        keys[alias or name] = info
    return keys


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a field's type mentions."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for part in get_args(annotation):
        yield from models_in(part)


def validate(
    model: type[M],
    entry: Entry,
    table: dict[str, Any],
    problems: Problems,
    *,
    context: dict[str, Any] | None = None,
    also: Iterable[str] = (),
    misplaced: Misplaced = lambda path: None,
    forgiven: Iterable[str] = (),
) -> M | None:
    """Build the model from the table; mistakes become problems and the answer is then None.

    ``also`` names keys that are allowed in this table although the model has them not; ``forgiven`` the places where a
    reference was left out.
    """
    try:
        if not issubclass(model, Settings | Options):
            return _validate_stand_ins(model, table, context)
        what = f"a validator of {model.__qualname__}"  # it is the plugin's
        made: M = within(JUDGED_WITHIN, what, _validate_stand_ins, model, table, context)
        return made
    except ValidationError as error:
        told: dict[Place, tuple[str, str]] = {}
        for details in error.errors(include_url=False):
            path = _real_path(details, table)
            if _comes_from_stand_in(details, path, table) or (entry.incomplete and details["type"] == "missing"):
                continue
            found, remedy = _explain(details, path, model, also=also, misplaced=misplaced)
            if details["type"] == "missing" and entry.at(path) in forgiven:
                found += ": its reference is unset"
            for inner, what, way in _inside(details) or [((), found, remedy)]:
                place = (*path, *inner)
                told[place] = (f"{told[place][0]}; or: {what}", told[place][1]) if place in told else (what, way)
        for path, (found, remedy) in told.items():
            problems.add(entry, path, found, remedy)
    except RAISED as error:  # a validator of a plugin; whatever it raises must not hide the other problems
        if not has_stand_in(table):
            found = f"{model.__module__}.{model.__qualname__} failed over this table: {describe_fault(error)}"
            problems.add(entry, (), found, "Change its values, or tell the author of the plugin")
    return None


def _validate_stand_ins(model: type[M], table: dict[str, Any], context: dict[str, Any] | None) -> M:
    """Validate, giving each value that was not looked up the look that its field wants."""
    tries: dict[Place, int] = {}
    while True:
        try:
            return model.model_validate(table, context=context)
        except ValidationError as error:
            changed = False
            for details in error.errors(include_url=False):
                path = _real_path(details, table)
                value = _at(table, path)
                turn = tries.get(path, 0) + 1
                if isinstance(value, Looked) and value.stand_in and turn < len(_STAND_INS):
                    tries[path], changed = turn, True
                    stand_in = Looked.from_reference(_STAND_INS[turn], value.origin, stand_in=True)
                    _at(table, path[:-1])[path[-1]] = stand_in
            if not changed:
                raise


def _inside(details: ErrorDetails) -> list[tuple[Place, str, str]]:
    """Return the mistakes that a validator has found inside its value."""
    return list(details.get("ctx", {}).get("inside", ()))


def _at(value: Any, path: Place) -> Any:
    for piece in path:
        try:
            value = value[piece]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _real_path(details: ErrorDetails, table: Any) -> Place:
    """Drop what pydantic adds to a location (names of union members, validators) but is no key of the file."""
    path: list[str | int] = []
    value, pieces = table, details["loc"]
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        if isinstance(value, Mapping) and (piece in value or (last and details["type"] == "missing")):
            path.append(piece)
            value = value.get(piece)
        elif isinstance(value, list) and isinstance(piece, int) and piece < len(value):
            path.append(piece)
            value = value[piece]
    return tuple(path)


def _comes_from_stand_in(details: ErrorDetails, path: Place, table: Any) -> bool:
    value = _at(table, path)
    if isinstance(value, Looked):
        return value.stand_in and details["type"] != "extra_forbidden"
    return details["type"] in ("value_error", "assertion_error", MISTAKE) and has_stand_in(value)


def _explain(
    details: ErrorDetails, path: Place, model: type[BaseModel], *, also: Iterable[str], misplaced: Misplaced
) -> tuple[str, str]:
    """Tell what was found and the remedy for one pydantic error."""
    kind, context = details["type"], details.get("ctx", {})
    name = str(path[-1]) if path else ""
    field = _field_at(model, path)
    if kind == MISTAKE:
        return str(context["found"]), str(context["remedy"])
    if kind == "missing":
        return f"`{name}` is missing", f"Add `{name}`{_described(field)}"
    if kind == "extra_forbidden":
        allowed = {*_keys_at(model, path[:-1]), *(also if len(path) == 1 else ())}
        return misplaced(path) or (f"`{name}` is no key of this table", suggest(name, allowed, kind="key"))
    if kind == "secret_in_clear":
        name = _assignment(path)
        reference = '"env:NAME"' if path and path[-1] == name else '["env:NAME"]'
        return (
            f"`{name}` is a secret and stands in the file in the clear",
            f"Put it into an environment variable and write {name} = {reference}, "
            'or into a file and write "file:/run/secrets/NAME"',
        )
    shown = "the text" if _holds_secret(field) and isinstance(details["input"], str) else show(details["input"])
    if kind in ("enum", "literal_error", "union_tag_invalid"):
        allowed_text = str(context.get("expected") or context.get("expected_tags", ""))
        return _not_allowed(details, shown, allowed_text, context)
    if kind in _EXPECTED:
        return f"{shown} is not {_EXPECTED[kind]}", f"Write {_EXPECTED[kind]}{_described(field)}"
    text = details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
    found, _, remedy = text.partition(". ")
    if kind in ("value_error", "assertion_error"):
        return found, remedy or f"Mend it{_described(field)}"
    return f"{shown}: {found[:1].lower()}{found[1:]}", remedy or f"Change it{_described(field)}"


def _not_allowed(details: ErrorDetails, shown: str, allowed: str, context: Mapping[str, Any]) -> tuple[str, str]:
    names = re.findall(r"'([^']*)'", allowed)
    value = context["tag"] if "tag" in context else details["input"]
    close = nearest(value, names) if isinstance(value, str) else None
    hint = f'Did you mean "{close}"? ' if close else ""
    if "tag" in context:
        shown = show(value)
    switches = [word.lower() for word in re.findall(r"\b(True|False)\b", re.sub(r"'[^']*'", "", allowed))]
    listed = ", ".join([*switches, *(f'"{name}"' for name in names)])
    return f"{shown} is not allowed here", f"{hint}Allowed: {listed}"


def _assignment(path: Place) -> str:
    return next((str(piece) for piece in reversed(path) if isinstance(piece, str)), "it")


def _described(field: FieldInfo | None) -> str:
    text = (field.description or "").strip().split("\n")[0].rstrip(".") if field is not None else ""
    text = text.replace("``", "`")
    if not text:
        return ""
    return f" ({text})" if text[:2].isupper() else f" ({text[0].lower()}{text[1:]})"


def _holds_secret(field: FieldInfo | None) -> bool:
    """Tell whether a secret could stand where this field is: then what stands there is not shown."""
    return field is not None and _mentions_secret(field.annotation, frozenset())


def _mentions_secret(annotation: Any, seen: frozenset[type]) -> bool:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel) and annotation not in seen:
            inner = {*seen, annotation}
            return any(_mentions_secret(info.annotation, frozenset(inner)) for info in annotation.model_fields.values())
        return issubclass(annotation, SecretStr)
    return any(_mentions_secret(part, seen) for part in get_args(annotation))


def _models_at(model: type[BaseModel], path: Place) -> list[type[BaseModel]]:
    models = [model]
    for piece in path:
        fields = [keys_of(each).get(piece) for each in models if isinstance(piece, str)]
        inner = [nested for info in fields if info is not None for nested in models_in(info.annotation)]
        if any(info is not None for info in fields):
            models = inner
    return models


def _keys_at(model: type[BaseModel], path: Place) -> set[str]:
    return {key for each in _models_at(model, path) for key in keys_of(each)}


def _field_at(model: type[BaseModel], path: Place) -> FieldInfo | None:
    names = [index for index, piece in enumerate(path) if isinstance(piece, str)]
    if not names:
        return None
    last = names[-1]
    for each in _models_at(model, path[:last]):
        info = keys_of(each).get(str(path[last]))
        if info is not None:
            return info
    return None
