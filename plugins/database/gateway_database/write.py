"""Writing one delivery inside a transaction: the row, then the rows that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, insert, or_, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite

from gateway.api import Delivery, Event, Receipt, Rejected
from gateway_database.coerce import coerce
from gateway_database.options import Child, DatabaseOptions, SetOnDelete, Write
from gateway_database.tables import Tables, need_unique

Row = dict[str, Any]
_NATIVE: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_NATIVE_MYSQL = frozenset({"mysql", "mariadb"})


def write(connection: Connection, tables: Tables, delivery: Delivery[DatabaseOptions]) -> Receipt:
    """Write a delivery; returns its receipt.

    Raises:
        Rejected: a value does not fit, a key is null, or the row to update is not there.
        Misconfigured: table, column or unique index is missing.
    """
    options = delivery.options
    row = row_of(delivery)
    names = {*row, *(options.on_delete.set if isinstance(options.on_delete, SetOnDelete) else ())}
    table = tables.get(connection, options.table, names | ({options.guard} if options.guard else set()))
    row = {name: coerce(table.c[name], value) for name, value in row.items()}
    for name in options.key:
        if row.get(name) is None:
            raise Rejected(f"the key column {options.table}.{name} would be null: it cannot tell which row is meant")
    parents = [_parent(connection, tables, child) for child in options.children]
    if options.write is Write.INSERT:
        return _insert(connection, table, row, parents, tables, delivery)
    if options.write is Write.DELETE or (options.write is Write.MIRROR and delivery.event is Event.DELETE):
        return _remove(connection, table, row, parents, delivery)
    written = (_update if options.write is Write.UPDATE else _upsert)(connection, table, row, options)
    if written:
        _replace_children(connection, tables, options, parents)
    return _receipt(delivery, "written to" if written else "older, left:", row, 1 if written else 0)


def row_of(delivery: Delivery[DatabaseOptions]) -> Row:
    """Return the columns and values that a delivery writes, before they are fitted to the types."""
    options = delivery.options
    columns = dict(options.columns)
    everything = columns.pop("*", False)
    row: Row = {}
    if everything is True and delivery.record is not None:
        row |= delivery.record.fields
    row |= columns
    if options.delivery_key:
        row[options.delivery_key] = delivery.key
    if options.guard:
        row[options.guard] = delivery.number
    return row


def _insert(
    connection: Connection,
    table: Table,
    row: Row,
    parents: list[tuple[Table, Row]],
    tables: Tables,
    delivery: Delivery[DatabaseOptions],
) -> Receipt:
    options = delivery.options
    if options.delivery_key:
        need_unique(table, [options.delivery_key])
        column = table.c[options.delivery_key]
        if connection.execute(select(column).where(column == delivery.key)).first() is not None:
            return _receipt(delivery, "was there before in", row, 0)
    made = connection.execute(insert(table).values(row))
    for child, parent in zip(options.children, parents, strict=True):
        _insert_children(connection, tables, child, *parent)
    generated = {
        column.name: value
        for column, value in zip(table.primary_key.columns, made.inserted_primary_key or (), strict=False)
        if value is not None
    }
    return _receipt(delivery, "inserted into", generated or row, 1, generated or None)


def _upsert(connection: Connection, table: Table, row: Row, options: DatabaseOptions) -> bool:
    need_unique(table, options.key)
    rest = {name: value for name, value in row.items() if name not in options.key}
    native = _NATIVE.get(connection.dialect.name)
    if native is not None:
        statement = native(table).values(row)
        target = [table.c[name] for name in options.key]
        if not rest:
            connection.execute(statement.on_conflict_do_nothing(index_elements=target))
            return True
        return bool(
            connection.execute(
                statement.on_conflict_do_update(index_elements=target, set_=rest, where=_not_newer(table, row, options))
            ).rowcount
        )
    if connection.dialect.name in _NATIVE_MYSQL and not options.guard:
        made = mysql.insert(table).values(row)
        connection.execute(made.on_duplicate_key_update(rest or {options.key[0]: row[options.key[0]]}))
        return True
    return _update_then_insert(connection, table, row, options)


def _update_then_insert(connection: Connection, table: Table, row: Row, options: DatabaseOptions) -> bool:
    found = connection.execute(select(*_columns(table, options)).where(_this(table, row, options)).with_for_update())
    if found.first() is not None:
        return _change(connection, table, row, row, options)
    connection.execute(insert(table).values(row))
    return True


def _columns(table: Table, options: DatabaseOptions) -> list[Any]:
    return [table.c[name] for name in options.key]


def _update(connection: Connection, table: Table, row: Row, options: DatabaseOptions) -> bool:
    if _change(connection, table, row, row, options):
        return True
    if connection.execute(select(*_columns(table, options)).where(_this(table, row, options))).first() is not None:
        return False
    raise Rejected(f"{options.table} has no row with {_shown(row, options)} to update")


def _change(connection: Connection, table: Table, row: Row, values: Row, options: DatabaseOptions) -> bool:
    rest = {name: value for name, value in values.items() if name not in options.key}
    if not rest:
        return True
    condition = _this(table, row, options)
    guard = _not_newer(table, row, options)
    statement = update(table).where(condition if guard is None else and_(condition, guard)).values(rest)
    return bool(connection.execute(statement).rowcount)


def _this(table: Table, row: Row, options: DatabaseOptions) -> ColumnElement[bool]:
    return and_(*(table.c[name] == row[name] for name in options.key))


def _not_newer(table: Table, row: Row, options: DatabaseOptions) -> ColumnElement[bool] | None:
    """Return the condition under which a guarded row may be written: no number yet, or none that is newer."""
    if not options.guard:
        return None
    return or_(table.c[options.guard].is_(None), table.c[options.guard] <= row[options.guard])


def _remove(
    connection: Connection,
    table: Table,
    row: Row,
    parents: list[tuple[Table, Row]],
    delivery: Delivery[DatabaseOptions],
) -> Receipt:
    options = delivery.options
    if isinstance(options.on_delete, SetOnDelete):
        marked = {name: coerce(table.c[name], value) for name, value in options.on_delete.set.items()}
        if options.guard:
            marked[options.guard] = row[options.guard]
        changed = _change(connection, table, row, marked, options)
        return _receipt(delivery, "marked as deleted in" if changed else "not there, or newer, in", row, int(changed))
    for child, values in parents:
        connection.execute(delete(child).where(and_(*(child.c[name] == value for name, value in values.items()))))
    guard = _not_newer(table, row, options)
    condition = _this(table, row, options)
    gone = connection.execute(delete(table).where(condition if guard is None else and_(condition, guard))).rowcount
    return _receipt(delivery, "deleted from" if gone else "not there in", row, gone)


def _parent(connection: Connection, tables: Tables, child: Child) -> tuple[Table, Row]:
    table = tables.get(connection, child.table, child.parent)
    values = {name: coerce(table.c[name], value) for name, value in child.parent.items()}
    if not values or any(value is None for value in values.values()):
        raise Rejected(f"a parent column of {child.table} would be null: it cannot tell whose rows they are")
    return table, values


def _replace_children(
    connection: Connection, tables: Tables, options: DatabaseOptions, parents: list[tuple[Table, Row]]
) -> None:
    for child, (table, values) in zip(options.children, parents, strict=True):
        connection.execute(delete(table).where(and_(*(table.c[name] == value for name, value in values.items()))))
        _insert_children(connection, tables, child, table, values)


def _insert_children(connection: Connection, tables: Tables, child: Child, table: Table, parent: Row) -> None:
    for columns in child.columns:
        table = tables.get(connection, child.table, columns)
        values = {name: coerce(table.c[name], value) for name, value in columns.items()}
        connection.execute(insert(table).values(values | parent))


def _receipt(
    delivery: Delivery[DatabaseOptions], what: str, row: Row, rows: int, generated: Row | None = None
) -> Receipt:
    options = delivery.options
    shown = ", ".join(f"{name} = {value}" for name, value in (generated or {}).items()) or _shown(row, options)
    key = {name: str(value)[:200] for name, value in (generated or row).items() if generated or name in options.key}
    summary = f"row {what} {options.table}{f' ({shown})' if shown else ''}"
    return Receipt(summary=summary[:300], details={"table": options.table, "rows": rows, "key": key})


def _shown(row: Row, options: DatabaseOptions) -> str:
    return ", ".join(f"{name} = {row[name]}" for name in options.key if name in row)
