"""The tables of the database as they are: reflected once, looked at again when something does not fit."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from sqlalchemy import JSON, Connection, Float, MetaData, Numeric, Table, UniqueConstraint, inspect
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.sql.compiler import IdentifierPreparer

from gateway.api import Misconfigured
from gateway_database import mariadb
from gateway_database.digits import Digits

_UNIQUE = "gateway_unique"
_PREPARER = "gateway_preparer"
_LOOK_AGAIN = 60.0
"""Seconds after which a table is looked at again for columns that it lacked."""


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique index or constraint."""

    columns: frozenset[str | None]
    """None stands for an expression."""
    whole: bool
    """Whether it is over whole columns and all rows."""


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
            raise Misconfigured(f"the table {name} has no column {column!r}{nearest(column, table.c.keys())}")
        return table

    def forget(self) -> None:
        """Look at the database again at the next use."""
        with self._lock:
            self._known.clear()

    def _is_old(self, name: str) -> bool:
        return time.monotonic() - self._looked_at[name] > _LOOK_AGAIN

    def _reflect(self, connection: Connection, name: str) -> Table:
        try:
            table = Table(name, MetaData(), schema=self._schema, autoload_with=connection, resolve_fks=False)
        except NoSuchTableError:
            look = inspect(connection)
            names = [*look.get_table_names(self._schema), *look.get_view_names(self._schema)]
            raise Misconfigured(f"there is no table {name!r} in the database{nearest(name, names)}") from None
        for column in table.c:
            column.type = _own_type(connection.dialect.name, column.type)
        if connection.dialect.name in mariadb.NAMES:
            mariadb.find_json(connection, table)
        table.info[_UNIQUE] = _uniques(connection, table)
        table.info[_PREPARER] = connection.dialect.identifier_preparer
        self._looked_at[name] = time.monotonic()
        return table


def _own_type(dialect: str, kind: Any) -> Any:
    if isinstance(kind, JSON):
        kind.none_as_null = True
    if dialect == "sqlite" and isinstance(kind, Numeric) and not isinstance(kind, Float):
        return Digits(str(kind))
    return mariadb.own_type(kind) if dialect in mariadb.NAMES else kind


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint at the name that was meant, or nothing."""
    close = get_close_matches(name.lower(), by_lower := {one.lower(): one for one in names}, 1)
    return f'; did you mean "{by_lower[close[0]]}"?' if close else ""


def missing(table: Table, columns: Iterable[str]) -> list[str]:
    """Return the columns that the table does not have."""
    return [column for column in columns if column not in table.c]


def is_unique(table: Table, columns: Sequence[str]) -> bool:
    """Tell whether the database itself keeps exactly these columns unique."""
    return Unique(frozenset(columns), whole=True) in table.info[_UNIQUE]


def only_clash(table: Table, columns: Sequence[str], row: Mapping[str, Any]) -> bool:
    """Tell whether a new row can clash with others in these columns alone, not in those of another unique index."""
    counted = table.autoincrement_column
    free = counted.name if counted is not None and counted.name not in row else None
    return all(one == Unique(frozenset(columns), whole=True) or free in one.columns for one in table.info[_UNIQUE])


def _uniques(connection: Connection, table: Table) -> list[Unique]:
    prefixed = mariadb.prefixed_indexes(connection, table) if connection.dialect.name in mariadb.NAMES else set()
    found = [Unique(frozenset(table.primary_key.columns.keys()), whole="PRIMARY" not in prefixed)]
    constraints = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    found += [Unique(frozenset(one.columns.keys()), whole=True) for one in constraints]
    # Of SQLite, constraints are read from the text of CREATE TABLE, which misses some; their indexes are all there.
    more = {"include_auto_indexes": True} if connection.dialect.name == "sqlite" else {}
    indexes = inspect(connection).get_indexes(table.name, table.schema, **more)
    return found + [
        Unique(frozenset(one["column_names"]), whole=_is_whole(one) and one["name"] not in prefixed)
        for one in indexes
        if one["unique"]
    ]


def _is_whole(index: Any) -> bool:
    """Tell whether an index is over whole columns and all rows."""
    partial = any(value is not None for name, value in index.get("dialect_options", {}).items() if "_where" in name)
    return None not in index["column_names"] and not partial


def need_unique(table: Table, columns: Sequence[str]) -> None:
    """Raise Misconfigured with the statement that makes these columns unique, unless they are."""
    if not is_unique(table, columns):
        raise Misconfigured(f"{not_unique(table, columns)}. Run: {ddl(table, columns)}")


def not_unique(table: Table, columns: Sequence[str]) -> str:
    """Say that columns are not kept unique."""
    return f"the table {table.name} has no unique index on {', '.join(columns)}"


def ddl(table: Table, columns: Sequence[str]) -> str:
    """Return the statement that makes columns unique."""
    preparer: IdentifierPreparer = table.info[_PREPARER]
    name = re.sub(r"\W+", "_", "_".join(("uq", table.name, *columns)))[:60]
    quoted = ", ".join(preparer.quote(column) for column in columns)
    statement = f"CREATE UNIQUE INDEX {preparer.quote(name)} ON {preparer.format_table(table)} ({quoted})"
    # Some drivers take a percent sign for a parameter unless it is doubled; people do not.
    return statement.replace("%%", "%") if "format" in preparer.dialect.paramstyle else statement
