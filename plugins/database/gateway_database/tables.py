"""The tables of the database as they are: reflected once, looked at again when something is missing."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from sqlalchemy import Connection, MetaData, Table, UniqueConstraint, inspect
from sqlalchemy.exc import NoSuchTableError

from gateway.api import Misconfigured


class Tables:
    """Reflected tables of one database and schema."""

    def __init__(self, schema: str | None) -> None:
        self._schema = schema
        self._known: dict[str, Table] = {}
        self._lock = threading.Lock()

    def get(self, connection: Connection, name: str, columns: Iterable[str]) -> Table:
        """Return a table that has these columns.

        Raises:
            Misconfigured: the table or a column is not there.
        """
        with self._lock:
            table = self._known.get(name)
            if table is None or any(column not in table.c for column in columns):
                table = self._known[name] = self._reflect(connection, name)
        missing = [column for column in columns if column not in table.c]
        if missing:
            close = get_close_matches(missing[0], list(table.c.keys()), 1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise Misconfigured(f"the table {name} has no column {missing[0]!r}{hint}")
        return table

    def forget(self) -> None:
        """Look at the database again at the next use."""
        with self._lock:
            self._known.clear()

    def _reflect(self, connection: Connection, name: str) -> Table:
        try:
            return Table(name, MetaData(), schema=self._schema, autoload_with=connection, resolve_fks=False)
        except NoSuchTableError:
            names = inspect(connection).get_table_names(self._schema)
            close = get_close_matches(name, names, 1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise Misconfigured(f"there is no table {name!r} in the database{hint}") from None


def is_unique(table: Table, columns: Sequence[str]) -> bool:
    """Tell whether the database itself keeps these columns unique."""
    wanted = set(columns)
    found = [set(table.primary_key.columns.keys())]
    found += [set(one.columns.keys()) for one in table.constraints if isinstance(one, UniqueConstraint)]
    found += [set(one.columns.keys()) for one in table.indexes if one.unique]
    return wanted in found


def need_unique(table: Table, columns: Sequence[str]) -> None:
    """Raise Misconfigured with the statement that makes these columns unique, unless they are."""
    if not is_unique(table, columns):
        raise Misconfigured(
            f"the table {table.name} does not keep {', '.join(columns)} unique. Run: {ddl(table, columns)}"
        )


def ddl(table: Table, columns: Sequence[str]) -> str:
    """Return the statement that makes columns unique."""
    name = "_".join(("uq", table.name, *columns))[:60]
    return f"CREATE UNIQUE INDEX {name} ON {table.fullname} ({', '.join(columns)})"
