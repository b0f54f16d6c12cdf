"""Row locks, where several processes write at once; SQLite gives a writer the whole file, which needs none.

A transaction locks lanes before notifications, and each kind in one order, which is also that of keeping. What is
read after the lock is as the last one who held it left it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, collate, select

from gateway.store.engine import rates
from gateway.store.engine.bulk_sql import AnyOf, Prepared, many
from gateway.store.tables import lanes, notifications

_lanes = Prepared(
    select(lanes.c.id)
    .where(AnyOf(lanes.c.id, "ids"))
    .order_by(collate(lanes.c.key, "C"))  # as Python sorts text
    .with_for_update(key_share=True)
)
_notifications = Prepared(
    select(notifications.c.id)
    .where(AnyOf(notifications.c.id, "ids"))
    .order_by(notifications.c.id)
    .with_for_update(key_share=True)
)


def lock_lanes(connection: Connection, ids: Iterable[int]) -> None:
    """Lock lanes until the transaction ends, waiting for whoever has them."""
    _lock(connection, _lanes, ids)


def lock_notifications(connection: Connection, ids: Iterable[int]) -> None:
    """Lock notifications until the transaction ends, waiting for whoever has them."""
    _lock(connection, _notifications, ids)


def lock_name(connection: Connection, name: str) -> None:
    """Lock what may have no row yet until the transaction ends, waiting for whoever has it.

    A row of ours stands for it: an advisory lock could be held by whoever may connect to the database.
    """
    if connection.dialect.name != "sqlite":
        rates.lock(connection, name)


def _lock(connection: Connection, rows: Prepared, ids: Iterable[int]) -> None:
    if connection.dialect.name != "sqlite":
        rows.run(connection, ids=many(connection, ids))
