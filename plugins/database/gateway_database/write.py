"""Writing one delivery inside a transaction: the row, and the rows that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from gateway.api import Delivery, Receipt, Rejected
from gateway_database.options import DatabaseOptions, Write
from gateway_database.prepare import Job, Row, prepare
from gateway_database.statements import (
    delete_children,
    delete_row,
    has_on_conflict,
    insert_children,
    insert_row,
    insert_rows,
    is_newer,
    replace_children,
    row_exists,
    update_row,
    upsert_row,
    upsert_rows,
    upserts_at_once,
)
from gateway_database.tables import Tables

_LONGEST_VALUE = 200
_LONGEST_SUMMARY = 400
_MOST_NAMED = 20
"""Questions without a column that a receipt names."""
_OLDER = "older, left: row in"


def write(connection: Connection, tables: Tables, delivery: Delivery[DatabaseOptions]) -> Receipt:
    """Write a delivery; return its receipt.

    Raises:
        Rejected: a value does not fit, a key is null, or the row to update is not there.
        Misconfigured: a table, column or unique index is missing.
    """
    return write_job(connection, prepare(connection, tables, delivery))


def write_together(connection: Connection, jobs: Sequence[Job]) -> list[Receipt]:
    """Write several jobs; those of the same shape, as far as the dialect allows, by one statement.

    Raises:
        Rejected: the row to update is not there.
    """
    shapes: dict[Any, list[Job]] = {}
    for job in jobs:
        shapes.setdefault(_shape(connection, job), []).append(job)
    receipts: dict[int, Receipt] = {}
    for shape, alike in shapes.items():
        if len(alike) == 1 or shape == id(alike[0]):
            receipts |= {id(job): write_job(connection, job) for job in alike}
        elif alike[0].options.write is Write.INSERT:
            new = insert_rows(connection, alike)
            receipts |= {id(job): _inserted(job, new.get(job.delivery_key)) for job in alike}
        else:
            upsert_rows(connection, alike)
            receipts |= {id(job): _receipt(job, "row written to", 1) for job in alike}
    return [receipts[id(job)] for job in jobs]


def _shape(connection: Connection, job: Job) -> Any:
    """Return what jobs must share to be written by one statement; of one that goes alone, its identity."""
    options = job.options
    once = options.write is Write.INSERT and options.delivery_key is not None and has_on_conflict(connection)
    upserts = options.write in (Write.UPSERT, Write.MIRROR) and options.guard is None
    if job.removes or job.children or not (once or (upserts and upserts_at_once(connection, job))):
        return id(job)
    return id(job.table), options.write, options.delivery_key, tuple(options.key), tuple(job.row)


def write_job(connection: Connection, job: Job) -> Receipt:
    """Write one job; return its receipt.

    Raises:
        Rejected: the row to update is not there.
    """
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
    generated = insert_row(connection, job)
    if generated is not None:
        insert_children(connection, job)
    return _inserted(job, generated)


def _inserted(job: Job, generated: Row | None) -> Receipt:
    name = job.options.delivery_key
    told = {name: job.delivery_key} if name else {}
    if generated is None:
        return _receipt(job, "delivered before: row in", 0, told)
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
    details: dict[str, Any] = {
        "table": options.table,
        "write": options.write.value,
        "rows": rows,
        "key": {name: str(value)[:_LONGEST_VALUE] for name, value in told.items()},
    }
    if job.left_out:
        details["left_out"] = sorted(job.left_out)[:_MOST_NAMED]
    return Receipt(summary=summary[:_LONGEST_SUMMARY], details=details, left_out=job.left_out)


def _shown(key: Row) -> str:
    return ", ".join(f"{name} = {str(value)[:_LONGEST_VALUE]}" for name, value in key.items())
