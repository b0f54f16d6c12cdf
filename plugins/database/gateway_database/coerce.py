"""Fitting values to the types of the columns they go into, without loss."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Date, DateTime, Float, Integer, LargeBinary, Numeric, String, Time, Uuid

from gateway.api import Rejected, to_json

_TRUE = frozenset({"true", "yes", "1", "on"})
_FALSE = frozenset({"false", "no", "0", "off"})


def coerce(column: Column[Any], value: Any) -> Any:
    """Return the value as the column takes it; null stays null, an empty text is null where it is no text column.

    Raises:
        Rejected: naming column, type and value.
    """
    if value is None:
        return None
    try:
        return _coerced(column.type, value)
    except (ValueError, TypeError, ArithmeticError, InvalidOperation):
        shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}…"
        raise Rejected(
            f"column {column.table.name}.{column.name} of type {column.type!s} cannot take {shown}"
        ) from None


def _coerced(kind: Any, value: Any) -> Any:
    if isinstance(kind, JSON):
        return json.loads(to_json(value)) if isinstance(value, (Mapping, list, Decimal)) else value
    if isinstance(kind, String):
        return _as_text(value)
    if isinstance(value, str) and not value.strip():
        return None
    for column_kind, convert in _CONVERT:
        if isinstance(kind, column_kind):
            return convert(value)
    return to_json(value) if isinstance(value, (Mapping, list)) else value


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("no text column takes NUL")
        return value
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return to_json(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError("neither true nor false")


def _integer(value: Any) -> int:
    number = _number(value)
    if number != number.to_integral_value():
        raise ValueError("not whole")
    return int(number)


def _number(value: Any) -> Decimal:
    if isinstance(value, bool):
        return Decimal(int(value))
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(str(value).strip())
    if not number.is_finite():
        raise ValueError("not finite")
    return number


def _float(value: Any) -> float:
    return float(_number(value))


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    return datetime.fromisoformat(str(value).strip()).date()


def _datetime(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    return datetime.fromisoformat(str(value).strip())


def _time(value: Any) -> time:
    if isinstance(value, datetime):
        return value.timetz()
    return value if isinstance(value, time) else time.fromisoformat(str(value).strip())


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


_CONVERT: tuple[tuple[Any, Any], ...] = (
    (Boolean, _boolean),
    (Integer, _integer),
    (Float, _float),
    (Numeric, _number),
    (DateTime, _datetime),
    (Date, _date),
    (Time, _time),
    (Uuid, str),
    (LargeBinary, _bytes),
)
