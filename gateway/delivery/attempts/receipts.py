"""Cleans receipts of plugins: JSON only, bounded in depth and size."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from gateway.destinations.faults import shorten, text_of

_DEEP = 8
"""Tables and lists within each other; what contains itself ends here too."""
_MANY = 1000
"""Values in one receipt: far more than fit into the 4 kB that are kept."""
_TEXT = 4000
"""Characters of one text."""
_LARGEST_INT = 10**30
"""Larger whole numbers are texts: most programs that read JSON could not hold them."""
_REST = "…"
"""Stands for what there was no room for."""


def plain_text(value: object) -> str:
    """Return the text of a value without lone surrogates and NUL, and not very long."""
    if type(value) is str and len(value) <= _TEXT and value.isascii() and "\x00" not in value:
        return value  # as most are
    text = shorten(text_of(value), _TEXT).replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "replace").decode("utf-8")


def plain_table(table: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a table of a receipt as JSON can hold it.

    What is no number becomes null, keys and whatever JSON does not have become texts. Raises whatever the table raises.
    """
    return _table(table, [_MANY], 0)


def _table(table: Mapping[Any, Any], left: list[int], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in itertools.islice(table.items(), max(0, left[0])):
        found[plain_text(key)] = _value(value, left, depth + 1)
    return found


def _value(value: object, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if type(value) is str:
        return plain_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -_LARGEST_INT < value < _LARGEST_INT else f"a number of {value.bit_length()} bits"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return plain_text(value[:_TEXT].decode("utf-8", "replace"))
    if isinstance(value, (dict, list, tuple, set, frozenset, Mapping)):
        if depth >= _DEEP or left[0] <= 0:
            return _REST
        return _table(value, left, depth) if isinstance(value, (dict, Mapping)) else _list(value, left, depth)
    return plain_text(value)


def _list(values: Iterable[Any], left: list[int], depth: int) -> list[Any]:
    return [_value(one, left, depth + 1) for one in itertools.islice(values, max(0, left[0]))]
