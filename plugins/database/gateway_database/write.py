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
    delivered_before,
    exists,
    has_on_conflict,
    insert_children,
    insert_row,
    insert_rows,
    is_newer,
    replace_children,
    this,
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
_WRITTEN = "row written to"
_OLDER = "older, left: row in"
_BEFORE = "delivered before: row in"
_NOT_TAKEN = "the database took no row, as a trigger, rule or view decides: nothing written to"


def write(connection: Connection, tables: Tables, delivery: Delivery[DatabaseOptions]) -> Receipt:
    """Write a delivery; return its receipt.

    Raises:
        Rejected: a value does not fit, a key is null, or the row to update is not there.
        Misconfigured: a table, column or unique index is missing.
    """
    return write_job(connection, prepare(connection, tables, delivery))


def write_together(connection: Connection, jobs: Sequence[Job]) -> list[Receipt] | None:
    """Write several jobs; those of the same shape, as far as the dialect allows, by one statement.

    None: the database did not take all rows and does not tell which; undo it and write them one by one.

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
            there = delivered_before(connection, [job for job in alike if job.delivery_key not in new])
            for job in alike:
                receipts[id(job)] = _inserted(job, new.get(job.delivery_key), before=job.delivery_key in there)
        elif upsert_rows(connection, alike):
            receipts |= {id(job): _receipt(job, _WRITTEN, 1) for job in alike}
        else:
            return None
    return [receipts[id(job)] for job in jobs]


def _shape(connection: Connection, job: Job) -> Any:
    """Return what jobs must share to be written by one statement; of one that goes alone, its identity."""
    options = job.options
    once = options.write is Write.INSERT and options.delivery_key is not None and has_on_conflict(connection)
    upserts = options.write in (Write.UPSERT, Write.MIRROR) and options.guard is None
    if job.removes or job.children or not (once or (upserts and upserts_at_once(connection, job))):
        return id(job)
    return id(job.table), options.write, options.delivery_key, tuple(options.key), tuple(job.row), job.defaults


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
        rows = update_row(connection, job, job.rest, defaults=job.defaults)
        if not rows and not exists(connection, job, this(job)):
            raise Rejected(f"{job.options.table} has no row with {_shown(job.key)} to update")
    else:
        rows = upsert_row(connection, job)
    if not rows and is_newer(connection, job):
        return _receipt(job, _OLDER, 0)
    # What the database put elsewhere is written all the same, so its rows are too.
    lost = replace_children(connection, job)
    return _receipt(job, _WRITTEN if rows else _NOT_TAKEN, rows, lost=lost)


def _insert(connection: Connection, job: Job) -> Receipt:
    made = insert_row(connection, job)
    before = made is None and job.options.delivery_key is not None and bool(delivered_before(connection, [job]))
    lost = 0 if before else insert_children(connection, job)
    return _inserted(job, made, before=before, lost=lost)


def _inserted(job: Job, made: Row | None, *, before: bool, lost: int = 0) -> Receipt:
    name = job.options.delivery_key
    told = {name: job.delivery_key} if name else {}
    if made is None:
        return _receipt(job, _BEFORE if before else _NOT_TAKEN, 0, told, lost=lost)
    return _receipt(job, _WRITTEN, 1, made or told, lost=lost)


def _mark(connection: Connection, job: Job, marks: Row) -> Receipt:
    guard = job.options.guard
    rows = update_row(connection, job, marks | ({guard: job.row[guard]} if guard else {}))
    if rows:
        return _receipt(job, "row marked as deleted in", rows)
    if is_newer(connection, job):
        return _receipt(job, _OLDER, 0)
    return _receipt(job, _NOT_TAKEN if exists(connection, job, this(job)) else "nothing to mark as deleted in", 0)


def _remove(connection: Connection, job: Job) -> Receipt:
    if is_newer(connection, job):
        return _receipt(job, _OLDER, 0)
    delete_children(connection, job)
    rows = delete_row(connection, job)
    if not rows and exists(connection, job, this(job)):
        return _receipt(job, "the database left the row, as a trigger or rule decides: nothing deleted from", 0)
    return _receipt(job, "row deleted from" if rows else "nothing to delete in", rows)


def _receipt(job: Job, what: str, rows: int, key: Row | None = None, *, lost: int = 0) -> Receipt:
    """Return a receipt; ``lost``: so many rows that belong to the row the database did not take."""
    options = job.options
    told = job.key if key is None else key
    summary = f"{what} {options.table}{f' ({_shown(told)})' if told else ''}"
    if lost:
        summary += f"; of the rows that belong to it the database took {lost} not, as a trigger or rule decides"
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
