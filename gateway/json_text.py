"""JSON without loss: decimals keep their digits, and nothing that a form can hold makes it fail."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Write a value as JSON; numbers keep all their digits, times are ISO 8601, what is no number becomes null."""
    mark = uuid.uuid4().hex
    text = json.dumps(_plain(value, mark), ensure_ascii=False, allow_nan=False, indent=indent)
    return re.sub(rf'"{mark}([^"]*)"', r"\1", text)


def _plain(value: Any, mark: str) -> Any:
    if isinstance(value, Decimal):
        return f"{mark}{value}" if value.is_finite() else None  # the quotes are taken off at the end
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode("utf-8")
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {_plain(str(key), mark): _plain(item, mark) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_plain(item, mark) for item in value]
    return str(value)
