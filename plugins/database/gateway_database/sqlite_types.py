"""The types of SQLite, which keeps any name of a type, and makes numbers of texts by rules of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import JSON, Boolean, Date, DateTime, Dialect, Float, Integer, LargeBinary, String, Time
from sqlalchemy.types import NullType, UserDefinedType

from gateway_database.mariadb import Truth


class Digits(UserDefinedType[Any]):
    """A NUMERIC or DECIMAL column: the text of a number, which the column's affinity makes a number.

    It never goes through a float, as SQLite has no other type for it.
    """

    cache_ok = True

    def __init__(self, name: str = "NUMERIC") -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """Return the name that the database gave."""
        return self.name

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Return what writes whole numbers as they are and others as text."""
        return lambda value: value if value is None or isinstance(value, int) else str(value)


class AnyText(UserDefinedType[Any]):
    """A column whose type means nothing to SQLite, such as STRING or UUID: takes texts, and numbers."""

    cache_ok = True

    def __init__(self, name: str, numbers: bool = True) -> None:  # as SQLAlchemy copies it
        self.name = name
        self.numbers = numbers
        """Whether SQLite makes a number of a text that looks like one (https://sqlite.org/datatype3.html, 3.1)."""

    def get_col_spec(self, **_: Any) -> str:
        """Return the name that the database gave."""
        return self.name

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Return what writes numbers with a fraction as text."""
        return lambda value: value if value is None or isinstance(value, (int, float, bytes)) else str(value)


_INTEGERS = {"INT", "INTEGER", "TINYINT", "SMALLINT", "MEDIUMINT", "BIGINT", "INT2", "INT4", "INT8", "SERIAL"}
_INTEGERS |= {"BIGSERIAL", "UNSIGNED BIG INT", "LONG"}
_FLOATS = {"REAL", "FLOAT", "FLOAT4", "FLOAT8", "DOUBLE", "DOUBLE PRECISION"}
_DECIMALS = {"NUMERIC", "DECIMAL", "DEC", "NUMBER", "MONEY"}
_MOMENTS = {"DATETIME", "TIMESTAMP", "TIMESTAMP WITHOUT TIME ZONE"}
_BYTES = {"BLOB", "BINARY", "VARBINARY", "BYTEA"}
_OTHERS: dict[str, Any] = {
    "BOOL": Boolean(),
    "BOOLEAN": Boolean(),
    "BIT": Truth(),
    "DATE": Date(),
    "TIME": Time(),
    "JSON": JSON(none_as_null=True),
    "JSONB": JSON(none_as_null=True),  # as text: not every SQLite has jsonb()
}


def own_type(declared: str) -> Any:
    """Return the type of a column by what it was declared as."""
    name = " ".join(re.sub(r"\(.*?\)", " ", declared.upper()).split())
    if not name:
        return NullType()
    if name in _OTHERS:
        return _OTHERS[name]
    for names, kind in ((_INTEGERS, Integer()), (_FLOATS, Float()), (_MOMENTS, DateTime()), (_BYTES, LargeBinary())):
        if name in names:
            return kind
    if name in _DECIMALS:
        return Digits(declared)
    if "INT" not in name and any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return String()
    # In this order SQLite looks for them.
    return AnyText(declared, numbers="INT" in name or "BLOB" not in name)
