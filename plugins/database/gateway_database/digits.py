"""Decimals on SQLite, which has no such type: they go there as digits, never through a float."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.types import UserDefinedType


class Digits(UserDefinedType[Any]):
    """A NUMERIC or DECIMAL column of SQLite: the text of a number, which the column's affinity makes a number."""

    cache_ok = True

    def __init__(self, name: str = "NUMERIC") -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """Return the name that the database gave."""
        return self.name

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Return what writes whole numbers as they are and others as text."""
        return lambda value: value if value is None or isinstance(value, int) else str(value)
