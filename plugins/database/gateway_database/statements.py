"""The statements on one row, in the words of each dialect; each returns how many rows it touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from gateway_database import mariadb
from gateway_database.columns import columns_of, may, standing_of
from gateway_database.indexes import only_clash
from gateway_database.prepare import Belongings, Job, Row

_ON_CONFLICT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_COUNTED = {"preserve_rowcount": True}
"""SQLAlchemy forgets how many rows an INSERT made unless it is told otherwise."""


def insert_row(connection: Connection, job: Job) -> Row | None:
    """Insert the row; return its primary key as far as it is known, or None if the database took no row."""
    if job.options.delivery_key is None:
        made = connection.execute(_insert(job.table), _keyed(job.table, job.row), execution_options=_COUNTED)
    elif has_on_conflict(connection):
        statement = _insert_once(connection, job)
        made = connection.execute(statement, _keyed(job.table, job.row), execution_options=_COUNTED)
    else:
        made = _insert_unless(connection, job, was_delivered(job))
    return None if made is None or made.rowcount == 0 else _generated(job, made)


def _insert(table: Table) -> Any:
    """Return an INSERT that asks for the generated key only where that is allowed."""
    statement = insert(table)
    asks = not standing_of(table).has_rules and all(may(one, "SELECT") for one in table.primary_key.columns)
    return statement if asks else statement.inline()


def _insert_unless(connection: Connection, job: Job, is_there: ColumnElement[bool]) -> Any:
    """Insert the row and return the result; None if it clashes with a row that fulfils the condition."""
    # A statement that fails in MySQL leaves the transaction as it was.
    savepoint = nullcontext() if connection.dialect.name in mariadb.NAMES else connection.begin_nested()
    try:
        with savepoint:
            return connection.execute(_insert(job.table), _keyed(job.table, job.row), execution_options=_COUNTED)
    except IntegrityError:
        if not exists(connection, job, is_there, hold="share"):
            raise
        return None


def insert_rows(connection: Connection, jobs: Sequence[Job]) -> dict[str, Row]:
    """Insert rows of one shape with a ``delivery_key``; return delivery key -> primary key of those that are new."""
    first = jobs[0]
    key = columns_of(first.table)[str(first.options.delivery_key)]
    told = [one for one in first.table.primary_key.columns if may(one, "SELECT")]
    statement = _insert_once(connection, first).returning(key, *told)
    made = connection.execute(statement, [_keyed(job.table, job.row) for job in jobs])
    names = [column.name for column in told]
    return {unique: dict(zip(names, values, strict=True)) for unique, *values in made}


def upsert_rows(connection: Connection, jobs: Sequence[Job]) -> bool:
    """Insert rows of one shape without a ``guard``, or change those with their keys; tell whether all were taken."""
    first = jobs[0]
    rows = [_keyed(job.table, job.row) for job in jobs]
    made = connection.execute(_upsert(connection, first), rows, execution_options=_COUNTED)
    return not first.rest or made.rowcount < 0 or made.rowcount >= len(jobs)


def has_on_conflict(connection: Connection) -> bool:
    """Tell whether the dialect has ON CONFLICT."""
    return connection.dialect.name in _ON_CONFLICT


def upserts_at_once(connection: Connection, job: Job) -> bool:
    """Tell whether the dialect has a statement that inserts this row, or changes the one with its key and no other."""
    if connection.dialect.name not in mariadb.NAMES:
        return has_on_conflict(connection)
    # MySQL takes the condition of a guard only in each column, and a clash in any unique index for one in the key.
    return job.options.guard is None and only_clash(job.table, job.options.key, job.row)


def _insert_once(connection: Connection, job: Job) -> Any:
    """Return the statement that inserts a row unless its delivery did before."""
    native = _ON_CONFLICT[connection.dialect.name]
    target = [columns_of(job.table)[str(job.options.delivery_key)]]
    statement = native(job.table).on_conflict_do_nothing(index_elements=target)
    return statement if all(may(one, "SELECT") for one in job.table.primary_key.columns) else statement.inline()


def _upsert(connection: Connection, job: Job) -> Any:
    """Return the statement that inserts a row, or changes the one with its key unless that is newer."""
    names = [*job.rest, *job.defaults]
    keys = [columns_of(job.table)[name].key for name in names]
    if connection.dialect.name in mariadb.NAMES:
        made = mysql.insert(job.table)
        changed = {key: made.inserted[key] for key in keys or _keyed(job.table, job.row)}
        return made.on_duplicate_key_update(changed).inline()
    statement = _ON_CONFLICT[connection.dialect.name](job.table).inline()
    target = [columns_of(job.table)[name] for name in job.options.key]
    if not keys:
        return statement.on_conflict_do_nothing(index_elements=target)
    changed = {key: statement.excluded[key] for key in keys}  # where the INSERT names no column: its default
    return statement.on_conflict_do_update(index_elements=target, set_=changed, where=_not_newer(job))


def upsert_row(connection: Connection, job: Job) -> int:
    """Insert the row, or change the one with its key unless that is newer."""
    if not upserts_at_once(connection, job):
        return _update_or_insert(connection, job)
    written = connection.execute(_upsert(connection, job), _keyed(job.table, job.row), execution_options=_COUNTED)
    if not written.rowcount and not (job.rest or job.defaults):
        return int(exists(connection, job, this(job)))
    return min(abs(int(written.rowcount)), 1)  # MySQL counts a row that it changed as two, some drivers do not count


def _update_or_insert(connection: Connection, job: Job) -> int:
    changed = update_row(connection, job, job.rest, defaults=job.defaults)
    if changed or exists(connection, job, this(job), hold="update"):
        return changed
    made = _insert_unless(connection, job, this(job))
    if made is not None:
        return min(abs(int(made.rowcount)), 1)
    return update_row(connection, job, job.rest, defaults=job.defaults)  # another inserted it at the same moment


def update_row(connection: Connection, job: Job, values: Row, *, defaults: Iterable[str] = ()) -> int:
    """Change the rows with this key that are not newer."""
    changed = _keyed(job.table, values)
    changed |= {one.key: _default(one) for one in map(columns_of(job.table).__getitem__, defaults)}
    if not changed:
        return int(exists(connection, job, this(job)))
    made = connection.execute(update(job.table).where(_writable(job)).values(changed))
    return abs(int(made.rowcount))


def _default(column: Column[Any]) -> Any:
    return literal_column(str(getattr(column.server_default, "arg", "NULL")))


def delete_row(connection: Connection, job: Job) -> int:
    """Delete the rows with this key."""
    return connection.execute(delete(job.table).where(this(job))).rowcount


def exists(connection: Connection, job: Job, condition: ColumnElement[bool], *, hold: str | None = None) -> bool:
    """Tell whether there is a row that fulfils the condition; ``hold`` it until the commit: ``share`` or ``update``."""
    found: Any = select(literal_column("1")).select_from(job.table).where(condition)
    if hold is not None:
        found = found.with_for_update(read=hold == "share")
    return bool(connection.execute(found).all())


def is_newer(connection: Connection, job: Job) -> bool:
    """Tell whether the guard keeps a row with this key from being written, and hold the row until the commit."""
    guard = _not_newer(job)
    return guard is not None and exists(connection, job, and_(this(job), ~guard), hold="update")


def was_delivered(job: Job) -> ColumnElement[bool]:
    """Return the condition that a row came by this delivery."""
    name = str(job.options.delivery_key)
    was: ColumnElement[bool] = columns_of(job.table)[name] == job.row[name]
    return was


def delivered_before(connection: Connection, jobs: Sequence[Job]) -> set[str]:
    """Return the delivery keys of those whose rows are there."""
    if not jobs:
        return set()
    column = columns_of(jobs[0].table)[str(jobs[0].options.delivery_key)]
    return set(connection.execute(select(column).where(column.in_([job.delivery_key for job in jobs]))).scalars())


def replace_children(connection: Connection, job: Job) -> int:
    """Delete the rows that belong to this one, and insert those that it has now; return how many were not taken."""
    delete_children(connection, job)
    return insert_children(connection, job)


def delete_children(connection: Connection, job: Job) -> None:
    """Delete the rows that belong to this one."""
    for child in reversed(job.children):
        columns = columns_of(child.table)
        belongs = and_(*(columns[name] == value for name, value in child.parent.items()))
        connection.execute(delete(child.table).where(belongs))


def insert_children(connection: Connection, job: Job) -> int:
    """Insert the rows that belong to this one, in their order; return how many the database did not take."""
    return sum(_insert_child(connection, child) for child in job.children if child.rows)


def _insert_child(connection: Connection, child: Belongings) -> int:
    rows = [_keyed(child.table, row) for row in child.rows]
    taken = connection.execute(insert(child.table).inline(), rows, execution_options=_COUNTED).rowcount
    return max(len(rows) - taken, 0) if taken >= 0 else 0


def _generated(job: Job, made: Any) -> Row:
    names = [column.name for column in job.table.primary_key.columns]
    values = made.inserted_primary_key or ()
    return {name: value for name, value in zip(names, values, strict=False) if value is not None}


def this(job: Job) -> ColumnElement[bool]:
    """Return the condition that a row has this key."""
    columns = columns_of(job.table)
    return and_(*(columns[name] == value for name, value in job.key.items()))


def _not_newer(job: Job) -> ColumnElement[bool] | None:
    """Return the condition under which a guarded row may be written: no number yet, or none that is newer."""
    name = job.options.guard
    if name is None:
        return None
    column = columns_of(job.table)[name]
    return or_(column.is_(None), column <= job.row[name])


def _writable(job: Job) -> ColumnElement[bool]:
    guard = _not_newer(job)
    return this(job) if guard is None else and_(this(job), guard)


def _keyed(table: Table, row: Mapping[str, Any]) -> Row:
    """Return values by the keys of columns, after which parameters are called."""
    columns = columns_of(table)
    return {columns[name].key: value for name, value in row.items()}
