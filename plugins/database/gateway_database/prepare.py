"""Prepares a delivery: looks every table up and fits every value before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table

from gateway.api import Delivery, Event, Misconfigured, Rejected, every_answer
from gateway_database.answers import answers_of
from gateway_database.coerce import coerce
from gateway_database.columns import columns_of, facts_of, has_generated, may
from gateway_database.indexes import need_unique
from gateway_database.options import EVERYTHING, Child, DatabaseOptions, Write
from gateway_database.tables import Tables, nearest

Row = dict[str, Any]
_NO_ANSWERS: tuple[dict[str, Any], dict[str, str], frozenset[str]] = ({}, {}, frozenset())
_INSERTS = frozenset({Write.INSERT, Write.UPSERT, Write.MIRROR})
"""What makes rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """The rows of one child table that belong to a row."""

    table: Table
    parent: Row
    rows: list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one delivery asks of the database."""

    options: DatabaseOptions
    table: Table
    row: Row
    removes: bool
    marks: Row | None
    """What a delete sets instead of deleting."""
    children: list[Belongings]
    delivery_key: str
    left_out: Mapping[str, str]
    """Questions of ``*`` without a column, each with the reason."""
    defaults: frozenset[str] = frozenset()
    """Columns without an answer that get what the database gives by itself, as they must not be null."""

    @property
    def key(self) -> Row:
        """The columns that tell the row."""
        return {name: self.row[name] for name in self.options.key}

    @property
    def rest(self) -> Row:
        """The other columns."""
        return {name: value for name, value in self.row.items() if name not in self.options.key}


def prepare(connection: Connection, tables: Tables, delivery: Delivery[DatabaseOptions]) -> Job:
    """Look up tables and fit values.

    Raises:
        Rejected: a value does not fit, or a key or parent is null.
        Misconfigured: a table, column or unique index is missing.
    """
    options, removing = delivery.options, removes(delivery)
    marks = options.marks if removing else None
    named = named_row(delivery)
    given, left_out, defaults = _NO_ANSWERS
    takes_everything = options.takes_everything and not removing
    if takes_everything and delivery.record is not None:
        given = every_answer(delivery.record)
    table = tables.get(connection, options.table, [*named, *(marks or ())], wished=given.keys() - named.keys())
    row = named
    if takes_everything:
        answers, left_out, defaults = _answers(delivery, table, named)
        row = answers | named
    if has_generated(table):
        _refuse_generated(table, [*(row if options.write in _INSERTS else options.rest_of(row)), *(marks or ())])
    for columns in needed_unique(options):
        need_unique(table, columns)
    fitted = _fit(table, row)
    for name in options.key:
        if fitted.get(name) is None:
            raise Rejected(f"the key column {options.table}.{name} would be null: it cannot tell which row is meant")
    return Job(
        options=options,
        table=table,
        row=fitted,
        removes=removing,
        marks=None if marks is None else _fit(table, marks),
        children=[_belongings(connection, tables, child, rows=not removing) for child in options.children],
        delivery_key=delivery.key,
        left_out={name: why for name, why in left_out.items() if name in given},
        defaults=defaults,
    )


def _answers(
    delivery: Delivery[DatabaseOptions], table: Table, named: Row
) -> tuple[Row, dict[str, str], frozenset[str]]:
    """Return the answers with a place, why others have none, and the columns that get their defaults."""
    answers = {name: value for name, value in answers_of(delivery, columns_of(table)).items() if name not in named}
    left_out = {name: why for name in answers if (why := _no_place(table, name, delivery.options.write))}
    placed = {name: value for name, value in answers.items() if name not in left_out}
    defaults = frozenset(name for name, value in placed.items() if value is None and _has_default(table, name))
    return {name: value for name, value in placed.items() if name not in defaults}, left_out, defaults


def removes(delivery: Delivery[DatabaseOptions]) -> bool:
    """Tell whether this delivery deletes, or marks as deleted."""
    write = delivery.options.write
    return write is Write.DELETE or (write is Write.MIRROR and delivery.event is Event.DELETE)


def row_of(delivery: Delivery[DatabaseOptions]) -> Row:
    """Return the columns and values that a delivery writes, as far as that is known without a look at the table."""
    return (answers_of(delivery) if not removes(delivery) else {}) | named_row(delivery)


def named_row(delivery: Delivery[DatabaseOptions]) -> Row:
    """Return the columns that the options name, and their values before they are fitted to the types."""
    options = delivery.options
    guard = {options.guard: delivery.number} if options.guard else {}
    if removes(delivery):
        return {name: options.columns.get(name) for name in options.key} | guard
    row = {name: value for name, value in options.columns.items() if name != EVERYTHING}
    return row | ({options.delivery_key: delivery.key} if options.delivery_key else {}) | guard


def needed_unique(options: DatabaseOptions) -> Iterable[list[str]]:
    """Yield the columns that the database itself must keep unique."""
    if options.write in (Write.UPSERT, Write.MIRROR) and options.key:
        yield options.key
    if options.delivery_key and options.write in (Write.INSERT, Write.UPSERT, Write.MIRROR):
        yield [options.delivery_key]


def _has_default(table: Table, name: str) -> bool:
    """Tell whether a column that must not be null has a value of its own for what is not answered."""
    column = columns_of(table)[name]
    return not column.nullable and column.server_default is not None


def _no_place(table: Table, name: str, write: Write) -> str | None:
    """Say why a question of ``*`` cannot be written, if it cannot."""
    column = columns_of(table).get(name)
    if column is None:
        return f"there is no such column in {table.name}{nearest(name, columns_of(table))}"
    facts = facts_of(column)
    if facts.generated or facts.numbered:
        return f"the database fills the column {table.name}.{name} by itself"
    needed = {"INSERT": write in _INSERTS, "UPDATE": write is not Write.INSERT}
    lacking = [right for right, is_needed in needed.items() if is_needed and not may(column, right)]
    return f"the gateway has no right to {' and '.join(lacking)} the column {table.name}.{name}" if lacking else None


def _refuse_generated(table: Table, names: Iterable[str]) -> None:
    for name in names:
        if facts_of(columns_of(table)[name]).generated:
            raise Misconfigured(f"{generated(table, name)}. Take it out of `columns`")


def generated(table: Table, name: str) -> str:
    """Say that a column takes no value."""
    return f"the database generates the column {table.name}.{name} by itself, and takes no value for it"


def _fit(table: Table, values: Mapping[str, Any]) -> Row:
    columns = columns_of(table)
    return {name: coerce(columns[name], value) for name, value in values.items()}


def _belongings(connection: Connection, tables: Tables, child: Child, *, rows: bool) -> Belongings:
    columns = child.columns if rows else []
    table = tables.get(connection, child.table, {name: None for given in (child.parent, *columns) for name in given})
    parent = _fit(table, child.parent)
    if not parent or None in parent.values():
        raise Rejected(f"a parent column of {child.table} would be null: it cannot tell whose rows they are")
    return Belongings(table=table, parent=parent, rows=[_fit(table, given) | parent for given in columns])
