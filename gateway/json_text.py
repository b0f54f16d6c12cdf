"""JSON without loss: decimals keep their digits, and nothing that a form can hold makes it fail."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Write a value as JSON; numbers keep all their digits, times are ISO 8601, what is no number becomes null."""
    numbers: list[str] = []
    mark = uuid.uuid4().hex
    text = json.dumps(_plain(value, mark, numbers), ensure_ascii=False, allow_nan=False, indent=indent)
    if not numbers:
        return text
    first, *rest = text.split(f'"{mark}"')
    return first + "".join(number + after for number, after in zip(numbers, rest, strict=True))


def _plain(value: Any, mark: str, numbers: list[str]) -> Any:
    """Return what `json` can write; of each decimal the mark, and its digits in ``numbers``."""
    if isinstance(value, str):
        return str(value) if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, Mapping):
        return {_plain(str(key), mark, numbers): _plain(item, mark, numbers) for key, item in value.items()}
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        numbers.append(str(value))
        return mark
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_plain(item, mark, numbers) for item in value]
    return str(value)
