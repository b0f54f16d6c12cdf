"""The statements on one row, in the words of each dialect; each returns how many rows it touched."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from gateway_database import mariadb
from gateway_database.prepare import Job, Row
from gateway_database.tables import only_clash

_ON_CONFLICT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_COUNTED = {"preserve_rowcount": True}
"""SQLAlchemy forgets how many rows an INSERT made unless it is told otherwise."""


def insert_row(connection: Connection, job: Job) -> Row | None:
    """Insert the row; return its primary key as far as it is known, or None if this delivery inserted it before."""
    name = job.options.delivery_key
    if name is None:
        return _generated(job, connection.execute(insert(job.table), job.row))
    if has_on_conflict(connection):
        made = connection.execute(_insert_once(connection, job), job.row, execution_options=_COUNTED)
        return _generated(job, made) if made.rowcount else None
    made = _insert_unless(connection, job, job.table.c[name] == job.row[name])
    return None if made is None else _generated(job, made)


def _insert_unless(connection: Connection, job: Job, is_there: ColumnElement[bool]) -> Any:
    """Insert the row and return the result; None if it clashes with a row that fulfils the condition."""
    # A statement that fails in MySQL leaves the transaction as it was.
    savepoint = nullcontext() if connection.dialect.name in mariadb.NAMES else connection.begin_nested()
    try:
        with savepoint:
            return connection.execute(insert(job.table), job.row)
    except IntegrityError:
        if not _count(connection, job, is_there):
            raise
        return None


def insert_rows(connection: Connection, jobs: Sequence[Job]) -> dict[str, Row]:
    """Insert rows of one shape with a ``delivery_key``; return delivery key -> primary key of those that are new."""
    first = jobs[0]
    key = first.table.c[str(first.options.delivery_key)]
    statement = _insert_once(connection, first).returning(key, *first.table.primary_key.columns)
    made = connection.execute(statement, [job.row for job in jobs])
    names = [column.name for column in first.table.primary_key.columns]
    return {told: dict(zip(names, values, strict=True)) for told, *values in made}


def upsert_rows(connection: Connection, jobs: Sequence[Job]) -> None:
    """Insert rows of one shape without a ``guard``, or change those with their keys."""
    connection.execute(_upsert(connection, jobs[0]), [job.row for job in jobs])


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
    target = [job.table.c[str(job.options.delivery_key)]]
    return native(job.table).on_conflict_do_nothing(index_elements=target)


def _upsert(connection: Connection, job: Job) -> Any:
    """Return the statement that inserts a row, or changes the one with its key unless that is newer."""
    if connection.dialect.name in mariadb.NAMES:
        made = mysql.insert(job.table)
        return made.on_duplicate_key_update({name: made.inserted[name] for name in job.rest or job.row})
    statement = _ON_CONFLICT[connection.dialect.name](job.table)
    target = [job.table.c[name] for name in job.options.key]
    if not job.rest:
        return statement.on_conflict_do_nothing(index_elements=target)
    changed = {name: statement.excluded[name] for name in job.rest}
    return statement.on_conflict_do_update(index_elements=target, set_=changed, where=_not_newer(job))


def upsert_row(connection: Connection, job: Job) -> int:
    """Insert the row, or change the one with its key unless that is newer."""
    if not upserts_at_once(connection, job):
        return _update_or_insert(connection, job)
    written = connection.execute(_upsert(connection, job), job.row, execution_options=_COUNTED)
    return min(written.rowcount, 1) if job.rest else 1  # MySQL counts a row that it changed as two


def _update_or_insert(connection: Connection, job: Job) -> int:
    changed = update_row(connection, job, job.rest)
    if changed or row_exists(connection, job):
        return changed
    if _insert_unless(connection, job, _this(job)) is not None:
        return 1
    return update_row(connection, job, job.rest)  # another writer inserted it at the same moment


def update_row(connection: Connection, job: Job, values: Row) -> int:
    """Change the rows with this key that are not newer."""
    if not values:
        return int(row_exists(connection, job))
    return connection.execute(update(job.table).where(_writable(job)).values(values)).rowcount


def delete_row(connection: Connection, job: Job) -> int:
    """Delete the rows with this key."""
    return connection.execute(delete(job.table).where(_this(job))).rowcount


def row_exists(connection: Connection, job: Job) -> bool:
    """Tell whether there is a row with this key, newer or not."""
    return _count(connection, job, _this(job)) > 0


def is_newer(connection: Connection, job: Job) -> bool:
    """Tell whether the guard keeps a row with this key from being deleted, and hold the row until the commit."""
    guard = _not_newer(job)
    return guard is not None and _count(connection, job, and_(_this(job), ~guard)) > 0


def replace_children(connection: Connection, job: Job) -> None:
    """Delete the rows that belong to this one, and insert those that it has now."""
    delete_children(connection, job)
    insert_children(connection, job)


def delete_children(connection: Connection, job: Job) -> None:
    """Delete the rows that belong to this one."""
    for child in reversed(job.children):
        belongs = and_(*(child.table.c[name] == value for name, value in child.parent.items()))
        connection.execute(delete(child.table).where(belongs))


def insert_children(connection: Connection, job: Job) -> None:
    """Insert the rows that belong to this one, in their order."""
    for child in job.children:
        if child.rows:
            connection.execute(insert(child.table), child.rows)


def _generated(job: Job, made: Any) -> Row:
    names = [column.name for column in job.table.primary_key.columns]
    values = made.inserted_primary_key or ()
    return {name: value for name, value in zip(names, values, strict=False) if value is not None}


def _count(connection: Connection, job: Job, condition: ColumnElement[bool]) -> int:
    some = next(iter(job.table.c))
    return len(connection.execute(select(some).where(condition).with_for_update()).all())


def _this(job: Job) -> ColumnElement[bool]:
    return and_(*(job.table.c[name] == value for name, value in job.key.items()))


def _not_newer(job: Job) -> ColumnElement[bool] | None:
    """Return the condition under which a guarded row may be written: no number yet, or none that is newer."""
    name = job.options.guard
    if name is None:
        return None
    return or_(job.table.c[name].is_(None), job.table.c[name] <= job.row[name])


def _writable(job: Job) -> ColumnElement[bool]:
    guard = _not_newer(job)
    return _this(job) if guard is None else and_(_this(job), guard)
