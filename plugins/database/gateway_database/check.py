"""Checks whether the database fits what deliveries write (``gateway check --connect``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, Connection, Integer, Numeric, Table

from gateway.api import Finding, Misconfigured, Use, peek
from gateway_database import mariadb
from gateway_database.columns import columns_of, facts_of, may, standing_of
from gateway_database.indexes import is_unique, make_unique, not_unique
from gateway_database.options import Child, DatabaseOptions, Write
from gateway_database.prepare import generated, needed_unique
from gateway_database.rights import Needs, grants, needed, needed_for_child
from gateway_database.sqlite_types import AnyText, Digits
from gateway_database.tables import Tables, missing, nearest

_MAKES_ROWS = frozenset({Write.INSERT, Write.UPSERT, Write.MIRROR})


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
            yield from _child(table, child, where, options)


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
            yield Finding(where=where, found=not_unique(table, columns), remedy=make_unique(table, columns))
    if options.guard is not None and options.guard in columns_of(table):
        yield from _guard(columns_of(table)[options.guard])
    yield from mariadb.cautions(table, options.key, "table")
    filled = [*options.named_columns, *own.values()]
    yield from _generated(table, "columns", filled if options.write in _MAKES_ROWS else options.rest_of(filled))
    yield from _generated(table, "on_delete.set", options.marks or ())
    yield from _made_numbers(table, "columns", filled)
    yield from _rights(table, "table", needed(options, filled))
    yield from _rules(table, options)
    if options.takes_everything:
        yield from _closed(table, set(filled))
    elif options.write in _MAKES_ROWS:
        yield from _unfilled(table, "columns", set(filled))


def _generated(table: Table, where: str, names: Iterable[str]) -> Iterator[Finding]:
    for name in names:
        column = columns_of(table).get(name)
        if column is not None and facts_of(column).generated:
            yield Finding(where=f"{where}.{name}", found=generated(table, name), remedy=f"Take it out of `{where}`")


def _made_numbers(table: Table, where: str, names: Iterable[str]) -> Iterator[Finding]:
    for name in names:
        column = columns_of(table).get(name)
        if column is not None and isinstance(column.type, AnyText) and column.type.numbers:
            declared = facts_of(column).declared
            found = f"the column {table.name}.{name} is declared {declared}, and SQLite makes numbers of texts there"
            remedy = "Declare it TEXT, else a text such as 007 is rejected"
            yield Finding(where=f"{where}.{name}", found=found, remedy=remedy, error=False)


def _rights(table: Table, where: str, needs: Needs) -> Iterator[Finding]:
    for lacking, statement in grants(table, needs):
        yield Finding(where=where, found=f"the gateway has no right to {lacking}", remedy=f"Run: {statement}")


def _rules(table: Table, options: DatabaseOptions) -> Iterator[Finding]:
    conflicts = options.write in (Write.UPSERT, Write.MIRROR) or options.delivery_key is not None
    if standing_of(table).has_rules and conflicts and options.write is not Write.UPDATE:
        found = f"{table.name} has rules for INSERT or UPDATE, which PostgreSQL takes for no ON CONFLICT"
        yield Finding(where="table", found=found, remedy="Write to the table that they lead to, or use triggers")


def _closed(table: Table, named: set[str]) -> Iterator[Finding]:
    """Yield the columns that no question can be written to, which its receipts would tell too."""
    for name, column in columns_of(table).items():
        if (
            name not in named
            and not facts_of(column).generated
            and not (may(column, "INSERT") or may(column, "UPDATE"))
        ):
            found = (
                f"the gateway may not write the column {table.name}.{name}: a question of this name would be left out"
            )
            yield Finding(
                where="columns.*", found=found, remedy="Grant INSERT and UPDATE of it if it is one", error=False
            )


def _guard(column: Column[Any]) -> Iterator[Finding]:
    if not isinstance(column.type, (Integer, Numeric, Digits)):
        found = (
            f"the column {column.table.name}.{column.name} is {column.type}, and is to hold the number of a delivery"
        )
        yield Finding(where="guard", found=found, remedy="Make it BIGINT")


def _child(table: Table, child: Child, where: str, options: DatabaseOptions) -> Iterator[Finding]:
    parent, columns = peek(child.parent) or {}, peek(child.columns)
    named = list(columns) if isinstance(columns, dict) else []
    yield from _there(table, f"{where}.parent", parent)
    yield from _there(table, f"{where}.columns", named)
    yield from _generated(table, f"{where}.parent", parent)
    yield from _generated(table, f"{where}.columns", named)
    yield from _made_numbers(table, f"{where}.columns", named)
    yield from _rights(table, f"{where}.table", needed_for_child(options, child))
    yield from mariadb.cautions(table, parent, where)
    yield from _unfilled(table, f"{where}.columns", {*parent, *named})


def _there(table: Table, where: str, columns: Iterable[str]) -> Iterator[Finding]:
    for name in missing(table, columns):
        yield _missing(table, f"{where}.{name}", name)


def _missing(table: Table, where: str, name: str) -> Finding:
    found = f"the table {table.name} has no column {name!r}{nearest(name, columns_of(table))}"
    return Finding(where=where, found=found, remedy="Add the column, or correct its name")


def _unfilled(table: Table, where: str, filled: set[str]) -> Iterator[Finding]:
    for column in table.columns:
        if column.name not in filled and not column.nullable and not _fills_itself(column):
            found = f"the column {table.name}.{column.name} must not be null, has no default and gets no value"
            yield Finding(where=where, found=found, remedy=f"Give `{column.name}` a value, or a default", error=False)


def _fills_itself(column: Column[Any]) -> bool:
    facts = facts_of(column)
    return facts.generated or facts.numbered or column.server_default is not None
