"""What the database itself keeps unique, and how it is told to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, UniqueConstraint, inspect, text
from sqlalchemy.sql.compiler import IdentifierPreparer

from gateway.api import Misconfigured
from gateway_database import mariadb
from gateway_database.columns import standing_of
from gateway_database.sqlite_names import as_written

_UNIQUE = "gateway_unique"
_PREPARER = "gateway_preparer"
_POSTGRESQL = text("""
SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey[0:i.indnkeyatts - 1]) AS part(number)
             LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = part.number),
       i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid, i.indimmediate, x.relname
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.indisunique AND c.relname = :table
      AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
               ELSE n.nspname = :schema END
""")


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique index or constraint."""

    columns: frozenset[str | None]
    """None stands for an expression."""
    whole: bool
    """Whether it is over whole columns and all rows, and holds for each statement."""
    deferrable: str | None = None
    """The name of a constraint that may be checked only at the commit."""


def learn_indexes(connection: Connection, table: Table) -> None:
    """Note at a reflected table what is unique in it."""
    postgresql = connection.dialect.name == "postgresql"
    table.info[_UNIQUE] = list(_of_postgresql(connection, table) if postgresql else _uniques(connection, table))
    table.info[_PREPARER] = connection.dialect.identifier_preparer


def is_unique(table: Table, columns: Sequence[str]) -> bool:
    """Tell whether the database itself keeps exactly these columns unique."""
    found = [one for one in table.info[_UNIQUE] if one.columns == frozenset(columns)]
    # PostgreSQL looks at all that fit, and refuses them if one may be deferred.
    return any(one.whole for one in found) and not any(one.deferrable for one in found)


def only_clash(table: Table, columns: Sequence[str], row: Mapping[str, Any]) -> bool:
    """Tell whether a new row can clash with others in these columns alone, not in those of another unique index."""
    counted = table.autoincrement_column
    free = counted.name if counted is not None and counted.name not in row else None
    return all(one == Unique(frozenset(columns), whole=True) or free in one.columns for one in table.info[_UNIQUE])


def need_unique(table: Table, columns: Sequence[str]) -> None:
    """Raise Misconfigured with the statement that makes these columns unique, unless they are."""
    if not is_unique(table, columns):
        raise Misconfigured(f"{not_unique(table, columns)}. {make_unique(table, columns)}")


def not_unique(table: Table, columns: Sequence[str]) -> str:
    """Say that columns are not kept unique."""
    named = f"the table {table.name} has no unique index on {', '.join(columns)}"
    if standing_of(table).is_view:
        return f"{table.name} is a view, which has no unique index on {', '.join(columns)}"
    deferred = _deferrable(table, columns)
    return f"{named} but {', '.join(deferred)}, which is deferrable and so of no use here" if deferred else named


def _deferrable(table: Table, columns: Sequence[str]) -> list[str]:
    return [one.deferrable for one in table.info[_UNIQUE] if one.columns == frozenset(columns) and one.deferrable]


def make_unique(table: Table, columns: Sequence[str]) -> str:
    """Say what makes columns unique."""
    if standing_of(table).is_view:
        return "Write to the table behind it"
    dropped = [f"DROP CONSTRAINT {quoted(table, [name])}" for name in _deferrable(table, columns)]
    first = f"ALTER TABLE {written(table)} {', '.join(dropped)}; " if dropped else ""
    return f"Run: {first}{ddl(table, columns)}"


def ddl(table: Table, columns: Sequence[str]) -> str:
    """Return the statement that makes columns unique."""
    preparer: IdentifierPreparer = table.info[_PREPARER]
    name = re.sub(r"\W+", "_", "_".join(("uq", table.name, *columns)))[:60]
    return f"CREATE UNIQUE INDEX {preparer.quote(name)} ON {written(table)} ({quoted(table, columns)})"


def written(table: Table) -> str:
    """Return the name of a table as a person writes it in a statement."""
    preparer: IdentifierPreparer = table.info[_PREPARER]
    return _single(preparer, preparer.format_table(table))


def quoted(table: Table, names: Iterable[str]) -> str:
    """Return names of columns as a person writes them in a statement."""
    preparer: IdentifierPreparer = table.info[_PREPARER]
    return _single(preparer, ", ".join(preparer.quote(name) for name in names))


def _single(preparer: IdentifierPreparer, statement: str) -> str:
    statement = as_written(statement)
    # Some drivers take a percent sign for a parameter unless it is doubled; people do not.
    return statement.replace("%%", "%") if "format" in preparer.dialect.paramstyle else statement


def _of_postgresql(connection: Connection, table: Table) -> Iterable[Unique]:
    for columns, whole, immediate, name in connection.execute(
        _POSTGRESQL, {"schema": table.schema, "table": table.name}
    ):
        # ON CONFLICT goes by no constraint that may be deferred.
        yield Unique(frozenset(columns), whole=whole and immediate, deferrable=None if immediate else name)


def _uniques(connection: Connection, table: Table) -> list[Unique]:
    prefixed = mariadb.prefixed_indexes(connection, table) if connection.dialect.name in mariadb.NAMES else set()
    found = [Unique(frozenset(one.name for one in table.primary_key.columns), whole="PRIMARY" not in prefixed)]
    constraints = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    found += [Unique(frozenset(column.name for column in one.columns), whole=True) for one in constraints]
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
