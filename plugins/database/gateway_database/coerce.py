"""Fitting values to the types of the columns they go into, without loss."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Time,
    Uuid,
)

from gateway.api import Rejected, to_json
from gateway_database.digits import Digits
from gateway_database.mariadb import Truth

_TRUE = frozenset({"true", "yes", "1", "on"})
_FALSE = frozenset({"false", "no", "0", "off"})
_SHOWN = 60
_LONGEST_NUMBER = 400
"""Numbers with more digits than this (``1E+999999``) are no answers of a form, and would only cost memory."""
_INT64 = 2**63


def coerce(column: Column[Any], value: Any) -> Any:
    """Return the value as the column takes it; null stays null, an empty text is null where it is no text column.

    Raises:
        Rejected: naming column, type and value.
    """
    if value is None:
        return None
    try:
        return _coerced(column.type, value)
    except (ValueError, TypeError, ArithmeticError) as error:
        shown = repr(value) if len(repr(value)) <= _SHOWN else f"{repr(value)[:_SHOWN]}…"
        why = f": {error}" if type(error) is ValueError else ""
        raise Rejected(
            f"the column {column.table.name}.{column.name} ({column.type!s}) cannot take {shown}{why}"
        ) from None


def _coerced(kind: Any, value: Any) -> Any:
    if isinstance(kind, JSON):
        return _as_json(value)
    if isinstance(kind, Digits):
        return None if _is_blank(value) else _digits(value)
    if isinstance(kind, String):
        return _as_text(value)
    if _is_blank(value):
        return None
    if isinstance(kind, ARRAY):
        return _array(kind, value)
    if isinstance(kind, (DateTime, Time)):
        return _moment(kind, value)
    for column_kind, convert in _CONVERT:
        if isinstance(kind, column_kind):
            return convert(value)
    return value if isinstance(value, (bool, int, float, bytes)) else _as_text(value)


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


def _as_json(value: Any) -> Any:
    """Return what a JSON column takes: a text that is a JSON object or list is read, another one stays a text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value, parse_float=Decimal)
        except ValueError:
            return value
    return value


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        value.encode()  # half a character, as some phones send, is refused here rather than by the driver
        if "\x00" in value:
            raise ValueError("it holds a NUL")
        return str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) < _LONGEST_NUMBER else str(value)
    return to_json(value)


def _boolean(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError("it is neither true nor false")


def _truth(value: Any) -> int:
    try:
        return int(_boolean(value))
    except ValueError:
        return _integer(value)


def _number(value: Any) -> Decimal:
    if isinstance(value, bool):
        return Decimal(int(value))
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(str(value).strip())
    except ArithmeticError:
        raise ValueError("it is no number") from None
    if not number.is_finite() or abs(number.adjusted()) > _LONGEST_NUMBER:
        raise ValueError("it is no number of usual size")
    return number


def _integer(value: Any) -> int:
    number = _number(value)
    if number != number.to_integral_value():
        raise ValueError("it is no whole number")
    if not -_INT64 <= number < _INT64:
        raise ValueError("it has more than 64 bits")
    return int(number)


def _digits(value: Any) -> int | Decimal:
    number = _number(value)
    if number == number.to_integral_value() and -_INT64 <= number < _INT64:
        return int(number)
    if Decimal(repr(float(number))) != number:
        raise ValueError("SQLite keeps only 15 digits of it; a TEXT column would keep all")
    return number


def _float(value: Any) -> float:
    return float(_number(value))


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else _read_moment(value).date()


def _moment(kind: DateTime | Time, value: Any) -> datetime | time:
    """Return a time; one with a zone goes as UTC into a column without, one without counts as UTC."""
    if isinstance(kind, Time):
        if isinstance(value, datetime):
            value = value.timetz()
        found = value if isinstance(value, time) else time.fromisoformat(str(value).strip())
        return found if kind.timezone else found.replace(tzinfo=None)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    moment = value if isinstance(value, datetime) else _read_moment(value)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment if kind.timezone else moment.replace(tzinfo=None)


def _read_moment(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError("it is not written as 2026-01-31 or 2026-01-31T08:15:00Z") from None


def _array(kind: ARRAY[Any], value: Any) -> list[Any]:
    if isinstance(value, (str, Mapping)) or not hasattr(value, "__iter__"):
        raise ValueError("it is no list")
    return [None if item is None else _coerced(kind.item_type, item) for item in value]


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else _as_text(value).encode()


def _uuid(value: Any) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(str(value).strip())


_CONVERT: tuple[tuple[type[Any], Callable[[Any], Any]], ...] = (
    (Boolean, _boolean),
    (Truth, _truth),
    (Integer, _integer),
    (Float, _float),
    (Numeric, _number),
    (Date, _date),
    (Uuid, _uuid),
    (LargeBinary, _bytes),
)
