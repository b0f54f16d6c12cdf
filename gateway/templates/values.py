"""The names that templates see, and how what they hold becomes text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from gateway.text.json_text import to_json

NAMES: Mapping[str, frozenset[str] | None] = {
    "notification": frozenset({"key", "event", "status", "submission_key", "dispatch_key", "created", "received"}),
    "record": frozenset({"key", "id", "fields", "tables", "paths", "raw"}),
    "submission": frozenset({"key", "id", "fields", "tables", "paths", "raw"}),
    "dispatch": frozenset({"key", "id", "fields", "tables", "paths", "raw"}),
    "webservice": frozenset({"name", "form", "project", "account", "vars"}),
    "route": frozenset({"name"}),
    "row": None,
    "attachments": None,
    "now": None,
}
"""Every name in scope, and its attributes where they are fixed."""


class Strict(Mapping[str, Any]):
    """Names that are fixed: asking for another one is a mistake. ``text`` is what it is when printed whole."""

    __slots__ = ("_values", "_what", "text")

    def __init__(self, what: str, values: Mapping[str, Any], *, text: str | None = None) -> None:
        self._what = what
        self._values = values
        self.text = text

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __str__(self) -> str:
        return to_json(dict(self._values)) if self.text is None else self.text


def as_text(value: Any) -> str:
    """Write a value into a text: null is empty, truth is ``true`` or ``false``, lists and objects are JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) < 400 else str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Strict):
        return str(value)
    if isinstance(value, (Mapping, list, tuple)):
        return to_json(value)
    return str(value)
