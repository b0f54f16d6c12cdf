"""The tables of the database as they are: reflected once, looked at again when something does not fit."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from sqlalchemy import JSON, Connection, MetaData, Numeric, String, Table, inspect
from sqlalchemy.dialects.postgresql import DOMAIN, REAL
from sqlalchemy.exc import NoSuchTableError

from gateway.api import Misconfigured
from gateway_database import mariadb, sqlite_types
from gateway_database.catalog import learn
from gateway_database.columns import Facts, columns_of, facts_of
from gateway_database.indexes import learn_indexes
from gateway_database.numbers import SingleFloat

_DIGITS = re.compile(r"\((\d+),(-?\d+)\)")
_LENGTH = re.compile(r"\((\d+)\)")
_LOOK_AGAIN = 60.0
"""Seconds after which a table is looked at again for columns that it lacked."""


class Tables:
    """Reflected tables of one database and schema; used by several threads."""

    def __init__(self, schema: str | None) -> None:
        self._schema = schema
        self._known: dict[str, Table] = {}
        self._looked_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def get(
        self, connection: Connection, name: str, columns: Iterable[str] = (), *, wished: Iterable[str] = ()
    ) -> Table:
        """Return a table, looked at again if it lacks one of the columns.

        For those that are only wished for it is looked at again once a minute.

        Raises:
            Misconfigured: the table or a column is not there.
        """
        wanted = list(columns)
        with self._lock:
            table = self._known.get(name)
            if table is None or missing(table, wanted) or (missing(table, wished) and self._is_old(name)):
                table = self._known[name] = self._reflect(connection, name)
        for column in missing(table, wanted):
            raise Misconfigured(f"the table {name} has no column {column!r}{nearest(column, columns_of(table))}")
        return table

    def forget(self) -> None:
        """Look at the database again at the next use."""
        with self._lock:
            self._known.clear()

    def _is_old(self, name: str) -> bool:
        return time.monotonic() - self._looked_at[name] > _LOOK_AGAIN

    def _reflect(self, connection: Connection, name: str) -> Table:
        numbers = itertools.count()

        def give_key(inspector: Any, table: Any, column: Any) -> None:
            # Parameters are called after keys. Those of names can clash: `site_1` with the first value compared to
            # `site`, and names that differ only in characters that no parameter may have.
            column["key"] = f"c{next(numbers)}"
            if connection.dialect.name in mariadb.NAMES:
                column["name"] = column["name"].replace("``", "`")  # SQLAlchemy leaves it as it is quoted

        try:
            table = Table(
                name,
                MetaData(),
                schema=self._schema,
                autoload_with=connection,
                resolve_fks=False,
                listeners=[("column_reflect", give_key)],
            )
        except NoSuchTableError:
            look = inspect(connection)
            names = [*look.get_table_names(self._schema), *look.get_view_names(self._schema)]
            raise Misconfigured(f"there is no table {name!r} in the database{nearest(name, names)}") from None
        learn(connection, table)
        for column in table.columns:
            column.type = _own_type(connection.dialect.name, column.type, facts_of(column))
        if connection.dialect.name in mariadb.NAMES:
            mariadb.find_json(connection, table)
        learn_indexes(connection, table)
        self._looked_at[name] = time.monotonic()
        return table


def _own_type(dialect: str, kind: Any, facts: Facts) -> Any:
    if dialect == "sqlite":
        return sqlite_types.own_type("" if facts.declared == "no type" else facts.declared)
    if isinstance(kind, JSON):
        kind.none_as_null = True
    if dialect in mariadb.NAMES:
        return mariadb.own_type(kind)
    if isinstance(kind, DOMAIN):
        return _own_type(dialect, _below(kind, facts.base), facts)
    return SingleFloat() if isinstance(kind, REAL) else kind


def _below(domain: DOMAIN, declared: str) -> Any:
    """Return the type below a domain, with the length or the digits that reflection leaves out."""
    kind: Any = domain.data_type
    if isinstance(kind, Numeric) and (found := _DIGITS.search(declared)):
        return Numeric(int(found[1]), int(found[2]))
    if isinstance(kind, String) and (found := _LENGTH.search(declared)):
        return String(int(found[1]))
    return kind


def nearest(name: str, names: Iterable[str] | Mapping[str, Any]) -> str:
    """Return a hint at the name that was meant, or nothing."""
    close = get_close_matches(name.lower(), by_lower := {one.lower(): one for one in names}, 1)
    return f'; did you mean "{by_lower[close[0]]}"?' if close else ""


def missing(table: Table, columns: Iterable[str]) -> list[str]:
    """Return the columns that the table does not have."""
    there = columns_of(table)
    return [column for column in columns if column not in there]
