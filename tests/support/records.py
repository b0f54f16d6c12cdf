"""Records as doForms gives them, for tests: answers, sections and tables, decoded."""

from __future__ import annotations

from typing import Any

from gateway.doforms.record import decode_record
from gateway.models import Record, RecordKind
from gateway.text.json_text import to_json


def answer(name: str, value: Any, word: str = "text") -> dict[str, Any]:
    """Write an answered question."""
    return {"name": name, "data": word, word: value}


def section(name: str, *fields: Any) -> dict[str, Any]:
    """Write a section."""
    return {"name": name, "type": "section", "fields": list(fields)}


def decode(*fields: Any, key: str = "s1", kind: RecordKind = RecordKind.SUBMISSION) -> Record:
    """Decode a record with these fields."""
    return decode_record(to_json({"key": key, "id": "17", "fields": list(fields)}).encode(), kind=kind)
