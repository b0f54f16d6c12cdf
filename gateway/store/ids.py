"""Ids given before the insert, so that many rows go to the driver at once and none has to be read back."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Connection, Table, func, select

from gateway.store.prepared import Prepared, scalar_of


def next_ids(connection: Connection, table: Table, count: int) -> range:
    """Return ids for new rows of a table; on SQLite the transaction holds the only right to write."""
    highest = scalar_of(_highest(table).run(connection)) or 0
    return range(highest + 1, highest + 1 + count)


@cache
def _highest(table: Table) -> Prepared:
    return Prepared(select(func.max(table.c.id)))
