"""Fitting values to the types of the columns they go into, without loss."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Time,
    Uuid,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects.postgresql import MONEY

from gateway.api import Rejected, to_json
from gateway_database.columns import facts_of
from gateway_database.mariadb import Truth
from gateway_database.moments import day, moment
from gateway_database.numbers import BLANKS, SingleFloat, decimal, floating, integer, sqlite_decimal
from gateway_database.sqlite_types import AnyText, Digits

_TRUE = frozenset({"true", "yes", "1", "on"})
_FALSE = frozenset({"false", "no", "0", "off"})
_SHOWN = 60
_LONGEST_NUMBER = 400
_SHOWN_CHOICES = 10
_FIRST_YEAR, _LAST_YEAR = 1901, 2155
"""What MariaDB's YEAR holds; fewer digits would mean another one."""
_BYTES: dict[type[Any], int] = {mysql.TINYTEXT: 2**8 - 1, mysql.TEXT: 2**16 - 1, mysql.MEDIUMTEXT: 2**24 - 1}
"""What texts of MariaDB hold."""
_SHORTEST_CUT = (2**8 - 1) // 4
_UUID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LIKE_A_NUMBER = re.compile(r"[ \t\n\v\f\r]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t\n\v\f\r]*")


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
            f"the column {column.table.name}.{column.name} ({facts_of(column).declared}) cannot take {shown}{why}"
        ) from None


def _coerced(kind: Any, value: Any) -> Any:
    if isinstance(kind, JSON):
        return _as_json(value)
    if isinstance(kind, AnyText):
        return _any_text(kind, value)
    if isinstance(kind, Enum):
        return _choice(kind, value)
    if isinstance(kind, String) and not isinstance(kind, mysql.SET):
        return _within_bytes(kind, _as_text(value, kind.length))
    if _is_blank(value):
        return None
    if isinstance(kind, ARRAY):
        return _array(kind, value)
    if isinstance(kind, (DateTime, Time)):
        return moment(kind, value)
    for column_kind, convert in _CONVERT:
        if isinstance(kind, column_kind):
            return convert(kind, value)
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


def _as_text(value: Any, length: int | None = None) -> str:
    if isinstance(value, str):
        value.encode()  # half a character, as some phones send, is refused here rather than by the driver
        if "\x00" in value:
            raise ValueError("it holds a NUL")
        if length is not None and len(value) > length and not value[length:].strip():
            raise ValueError(f"the column holds {length} characters, and the database would cut off blanks at its end")
        return str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) < _LONGEST_NUMBER else str(value)
    return to_json(value)


def _within_bytes(kind: String, text: str) -> str:
    """Return a text, unless it is one of which MariaDB would cut off blanks at the end without a word."""
    for of_mysql, most in _BYTES.items() if len(text) > _SHORTEST_CUT else ():
        if isinstance(kind, of_mysql) and 4 * len(text) > most and text[-1].isspace():
            rest = text.encode()[most:].decode(errors="ignore")
            if rest and not rest.strip():
                raise ValueError(f"the column holds {most} bytes, and the database would cut off blanks at its end")
    return text


def _any_text(kind: AnyText, value: Any) -> Any:
    """Return what a column of SQLite with a type of its own takes: texts that it leaves as they are, and numbers."""
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return sqlite_decimal(value)
    text = _as_text(value)
    if not kind.numbers or not _LIKE_A_NUMBER.fullmatch(text):
        return text
    try:
        kept = sqlite_decimal(text.strip())
    except ValueError:
        shown = None
    else:
        shown = str(kept) if isinstance(kept, int) else repr(float(kept))
    if shown != text:
        raise ValueError("SQLite would make a number of it, and not keep it as it is written; a TEXT column would")
    return text


def _choice(kind: Enum, value: Any) -> str:
    text = _as_text(value)
    if text not in kind.enums:
        more = ", …" if len(kind.enums) > _SHOWN_CHOICES else ""
        raise ValueError(f"it takes {', '.join(map(repr, kind.enums[:_SHOWN_CHOICES]))}{more}")
    return text


def _boolean(_: Any, value: Any) -> bool:
    text = str(value).strip(BLANKS).lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError("it is neither true nor false")


def _truth(kind: Any, value: Any) -> int:
    try:
        return int(_boolean(kind, value))
    except ValueError:
        return integer(value)


def _array(kind: ARRAY[Any], value: Any) -> list[Any]:
    if isinstance(value, (str, Mapping)) or not hasattr(value, "__iter__"):
        raise ValueError("it is no list")
    return [None if item is None else _coerced(kind.item_type, item) for item in value]


def _bytes(_: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else _as_text(value).encode()


def _uuid(_: Any, value: Any) -> uuid.UUID:
    if isinstance(value, uuid.UUID):
        return value
    text = str(value).strip(BLANKS)
    if not _UUID.fullmatch(text):
        raise ValueError("it is no UUID")
    return uuid.UUID(text)


def _float(kind: Any, value: Any) -> float:
    of_mysql = isinstance(kind, mysql.FLOAT)
    single = of_mysql or isinstance(kind, SingleFloat)
    return floating(value, single=single, shown=not of_mysql, scale=getattr(kind, "scale", None))


def _year(_: Any, value: Any) -> int:
    year = integer(value)
    if year != 0 and not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise ValueError(f"it is no year from {_FIRST_YEAR} to {_LAST_YEAR}")
    return year


_CONVERT: tuple[tuple[type[Any], Callable[[Any, Any], Any]], ...] = (
    (Boolean, _boolean),
    (Truth, _truth),
    (Integer, lambda kind, value: integer(value, unsigned=getattr(kind, "unsigned", False))),
    (Float, _float),
    (Digits, lambda _, value: sqlite_decimal(value)),
    (Numeric, lambda kind, value: decimal(value, kind.scale)),
    (mysql.BIT, lambda _, value: integer(value, unsigned=True)),
    (mysql.YEAR, _year),
    (MONEY, lambda _, value: decimal(value, 2)),
    (Date, lambda _, value: day(value)),
    (Uuid, _uuid),
    (LargeBinary, _bytes),
)
