"""What the simulated doForms knows: web services and their records."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Webservice:
    """One form in one project, with the password of its API."""

    id: str
    password: str
    form: str = ""


@dataclass(slots=True)
class Stored:
    """A record as doForms keeps it."""

    webservice: str
    kind: str
    document: dict[str, Any]
    readable_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """A request that the REST API answered."""

    method: str
    path: str
    status: int
    at: float
    webservice: str | None


@dataclass(slots=True)
class World:
    """The web services and records."""

    webservices: dict[str, Webservice] = dataclass_field(default_factory=dict)
    records: dict[str, Stored] = dataclass_field(default_factory=dict)
    """By key, submissions and dispatches."""

    def put(self, webservice: str, key: str, values: dict[str, Any], *, kind: str = "submission") -> dict[str, Any]:
        """Keep a record with these answers; returns the document as the API gives it."""
        if webservice not in self.webservices:
            raise KeyError(f"there is no web service {webservice!r}: add it first")
        document = {
            "key": key,
            "id": f"id-{key}",
            "fields": [field(name, value) for name, value in values.items()],
        }
        self.records[key] = Stored(webservice, kind, document)
        return document

    def find(self, key_or_id: str, kind: str) -> Stored | None:
        """Find a record by key or by id."""
        for key, stored in self.records.items():
            if stored.kind == kind and key_or_id in (key, stored.document["id"]):
                return stored
        return None


def field(name: str, value: Any) -> dict[str, Any]:
    """Write an answer as doForms does: the property named by ``data`` holds the value; tables nest rows of fields."""
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        rows = [{"fields": [field(inner, item) for inner, item in row.items()]} for row in value]
        return {"name": name, "type": "table", "fields": rows}
    if isinstance(value, dict):
        return {"name": name, "type": "section", "fields": [field(inner, item) for inner, item in value.items()]}
    word, kind = _word(value)
    return {"name": name, "data": word, "type": kind} | ({} if value is None else {word: value})


def _word(value: Any) -> tuple[str, str]:
    if isinstance(value, bool):
        return "boolean", "checkbox"
    if isinstance(value, int):
        return "integer", "numeric"
    if isinstance(value, (float, Decimal)):
        return "decimal", "numeric"
    return ("strings", "choose multiple") if isinstance(value, list) else ("text", "text")


def new_key() -> str:
    """Make a key that was never there."""
    return uuid.uuid4().hex[:20]
