"""JSON without loss: decimals keep their digits, and nothing that a form can hold makes it fail."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

_MARK = uuid.uuid4().hex
"""Stands for a decimal until the text is made; nobody outside this process can know it."""


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Write a value as JSON; numbers keep all their digits, times are ISO 8601, what is no number becomes null."""
    if indent is None and (simple := _simple(value)) is not None:
        return simple
    numbers: list[str] = []
    text = json.dumps(_plain(value, numbers), ensure_ascii=False, allow_nan=False, indent=indent)
    if not numbers:
        return text
    first, *rest = text.split(f'"{_MARK}"')
    return first + "".join(number + after for number, after in zip(numbers, rest, strict=True))


def _simple(value: Any) -> str | None:
    """Write what `json` writes right by itself, as most of what is sent; None: there is more in it."""
    try:
        text = _SIMPLE.encode(value)
    except (TypeError, ValueError, RecursionError):
        return None
    return text if text.isascii() else None


_SIMPLE = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def _plain(value: Any, numbers: list[str]) -> Any:
    """Return what `json` can write; of each decimal the mark, and its digits in ``numbers``."""
    if isinstance(value, str):
        return str(value) if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, Mapping):
        return {_plain(str(key), numbers): _plain(item, numbers) for key, item in value.items()}
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        numbers.append(str(value))
        return _MARK
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_plain(item, numbers) for item in value]
    return str(value)
