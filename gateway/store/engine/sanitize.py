"""Cleans texts from outside for a text column."""

from __future__ import annotations

import json
from typing import Any

_LONGEST = 4000


def clean(text: str) -> str:
    """Return a text without NUL and lone surrogates, which PostgreSQL and the driver refuse, and not too long."""
    kept = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return kept.encode("utf-8", "replace").decode("utf-8")[:_LONGEST]


def read_receipt(text: str | None) -> dict[str, Any] | None:
    """Read a receipt from the store, whatever an older gateway wrote there: what JSON has not is left out of it."""
    if text is None:
        return None
    try:
        read = _clean(json.loads(text, parse_constant=lambda _: None))
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        read = {"summary": text}
    details = read.get("details")
    return {
        **read,
        "summary": clean(str(read.get("summary", ""))),
        "details": details if isinstance(details, dict) else {},
    }


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value
