"""Looking whether the database fits what deliveries write (``gateway check --connect``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, Connection, Integer, Numeric, Table

from gateway.api import Finding, Misconfigured, Use, peek
from gateway_database import mariadb
from gateway_database.digits import Digits
from gateway_database.options import Child, DatabaseOptions, Write
from gateway_database.prepare import needed_unique
from gateway_database.tables import Tables, ddl, is_unique, missing, nearest, not_unique


def check(connection: Connection, tables: Tables, uses: Sequence[Use[DatabaseOptions]]) -> list[Finding]:
    """Look at the tables, columns and unique indexes of all uses; each finding names its delivery."""
    tables.forget()
    return [replace(finding, use=use) for use in uses for finding in _use(connection, tables, use.options)]


def _use(connection: Connection, tables: Tables, options: DatabaseOptions) -> Iterator[Finding]:
    try:
        table = tables.get(connection, options.table)
    except Misconfigured as error:
        yield Finding(where="table", found=str(error), remedy="Create the table, or correct its name")
    else:
        yield from _table(table, options)
    for number, child in enumerate(options.children):
        where = f"children[{number}]"
        try:
            table = tables.get(connection, child.table)
        except Misconfigured as error:
            yield Finding(where=f"{where}.table", found=str(error), remedy="Create the table, or correct its name")
        else:
            yield from _child(table, child, where)


def _table(table: Table, options: DatabaseOptions) -> Iterator[Finding]:
    own = {name: value for name in ("delivery_key", "guard") if (value := getattr(options, name)) is not None}
    written = options.key if options.write is Write.DELETE else options.named_columns
    yield from _there(table, "columns", written)
    yield from _there(table, "on_delete.set", options.marks or ())
    for option, name in own.items():
        for _ in missing(table, [name]):
            yield _missing(table, option, name)
    for columns in needed_unique(options):
        if not missing(table, columns) and not is_unique(table, columns):
            where = "key" if columns == options.key else "delivery_key"
            yield Finding(where=where, found=not_unique(table, columns), remedy=f"Run: {ddl(table, columns)}")
    if options.guard is not None and options.guard in table.c:
        yield from _guard(table.c[options.guard])
    yield from mariadb.cautions(table, options.key, "table")
    if options.write not in (Write.UPDATE, Write.DELETE) and not options.takes_everything:
        yield from _unfilled(table, "columns", {*options.named_columns, *own.values()})


def _guard(column: Column[Any]) -> Iterator[Finding]:
    if not isinstance(column.type, (Integer, Numeric, Digits)):
        found = (
            f"the column {column.table.name}.{column.name} is {column.type}, and is to hold the number of a delivery"
        )
        yield Finding(where="guard", found=found, remedy="Make it BIGINT")


def _child(table: Table, child: Child, where: str) -> Iterator[Finding]:
    parent, columns = peek(child.parent) or {}, peek(child.columns)
    named = list(columns) if isinstance(columns, dict) else []
    yield from _there(table, f"{where}.parent", parent)
    yield from _there(table, f"{where}.columns", named)
    yield from mariadb.cautions(table, parent, where)
    yield from _unfilled(table, f"{where}.columns", {*parent, *named})


def _there(table: Table, where: str, columns: Iterable[str]) -> Iterator[Finding]:
    for name in missing(table, columns):
        yield _missing(table, f"{where}.{name}", name)


def _missing(table: Table, where: str, name: str) -> Finding:
    found = f"the table {table.name} has no column {name!r}{nearest(name, table.c.keys())}"
    return Finding(where=where, found=found, remedy="Add the column, or correct its name")


def _unfilled(table: Table, where: str, filled: set[str]) -> Iterator[Finding]:
    for column in table.c:
        if column.name not in filled and not column.nullable and not _fills_itself(table, column):
            found = f"the column {table.name}.{column.name} must not be null, has no default and gets no value"
            yield Finding(where=where, found=found, remedy=f"Give `{column.name}` a value, or a default", error=False)


def _fills_itself(table: Table, column: Column[Any]) -> bool:
    numbered = column is table.autoincrement_column  # such as INTEGER PRIMARY KEY of SQLite
    return numbered or any((column.server_default, column.identity, column.computed))
