"""Writing one delivery inside a transaction: the row, and the rows that belong to it."""

from __future__ import annotations

from sqlalchemy import Connection

from gateway.api import Delivery, Receipt, Rejected
from gateway_database.options import DatabaseOptions, Write
from gateway_database.prepare import Job, Row, prepare
from gateway_database.statements import (
    delete_children,
    delete_row,
    insert_children,
    insert_row,
    is_newer,
    replace_children,
    row_exists,
    update_row,
    upsert_row,
)
from gateway_database.tables import Tables

_LONGEST_VALUE = 200
_LONGEST_SUMMARY = 400
_OLDER = "older, left: row in"


def write(connection: Connection, tables: Tables, delivery: Delivery[DatabaseOptions]) -> Receipt:
    """Write a delivery; return its receipt.

    Raises:
        Rejected: a value does not fit, a key is null, or the row to update is not there.
        Misconfigured: a table, column or unique index is missing.
    """
    job = prepare(connection, tables, delivery)
    if job.removes:
        return _remove(connection, job) if job.marks is None else _mark(connection, job, job.marks)
    if job.options.write is Write.INSERT:
        return _insert(connection, job)
    if job.options.write is Write.UPDATE:
        rows = update_row(connection, job, job.rest)
        if not rows and not row_exists(connection, job):
            raise Rejected(f"{job.options.table} has no row with {_shown(job.key)} to update")
    else:
        rows = upsert_row(connection, job)
    if not rows:
        return _receipt(job, _OLDER, 0)
    replace_children(connection, job)
    return _receipt(job, "row written to", rows)


def _insert(connection: Connection, job: Job) -> Receipt:
    name = job.options.delivery_key
    generated = insert_row(connection, job)
    told = {name: job.delivery_key} if name else {}
    if generated is None:
        return _receipt(job, "delivered before: row in", 0, told)
    insert_children(connection, job)
    return _receipt(job, "row written to", 1, generated or told)


def _mark(connection: Connection, job: Job, marks: Row) -> Receipt:
    guard = job.options.guard
    rows = update_row(connection, job, marks | ({guard: job.row[guard]} if guard else {}))
    if rows:
        return _receipt(job, "row marked as deleted in", rows)
    return _receipt(job, _OLDER if row_exists(connection, job) else "nothing to mark as deleted in", 0)


def _remove(connection: Connection, job: Job) -> Receipt:
    if is_newer(connection, job):
        return _receipt(job, _OLDER, 0)
    delete_children(connection, job)
    rows = delete_row(connection, job)
    return _receipt(job, "row deleted from" if rows else "nothing to delete in", rows)


def _receipt(job: Job, what: str, rows: int, key: Row | None = None) -> Receipt:
    options = job.options
    told = job.key if key is None else key
    summary = f"{what} {options.table}{f' ({_shown(told)})' if told else ''}"
    details = {
        "table": options.table,
        "write": options.write.value,
        "rows": rows,
        "key": {name: str(value)[:_LONGEST_VALUE] for name, value in told.items()},
    }
    return Receipt(summary=summary[:_LONGEST_SUMMARY], details=details)


def _shown(key: Row) -> str:
    return ", ".join(f"{name} = {str(value)[:_LONGEST_VALUE]}" for name, value in key.items())
