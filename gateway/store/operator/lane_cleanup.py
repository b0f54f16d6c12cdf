"""Deletes empty lanes that nothing refers to any more, in small batches.

The rules, before the SQL:

- A delivery that has ended still needs its lane, to be replayed in its place. No index finds the deliveries of a lane
  once they have ended, and none is needed: a lane whose last delivery was placed in it before the oldest delivery of
  the store was made has none.
- A number is never given twice in lanes of one key: what follows in a new lane is at least the time, so a lane may only
  go when its last number has been left behind by that.
- The conditions stand in the deleting statement too: on PostgreSQL it waits for whoever places a delivery in the lane
  at this moment, and then sees it.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, delete, select

from gateway.store.engine.locks import lock_lanes
from gateway.store.engine.transaction_time import SECOND
from gateway.store.tables import deliveries, lanes, notifications

BATCH = 1000
"""How many lanes a batch looks at."""
_MARGIN = 86400 * SECOND
"""By so much the clocks of processes, and the order of ids, are allowed to differ."""


def prune_lanes(connection: Connection, *, after: int, before: int) -> tuple[int, int | None]:
    """Delete those of the next lanes above the id ``after`` that were not used since ``before`` and are not needed.

    Returns how many were deleted, and where to go on; None at the end.
    """
    unused = _unused(min(before, _oldest_delivery(connection, before)) - _MARGIN)
    rows = connection.execute(
        select(lanes.c.id, unused.label("unused")).where(lanes.c.id > after).order_by(lanes.c.id).limit(BATCH)
    ).all()
    ids = [row.id for row in rows if row.unused]
    deleted = 0
    if ids:
        lock_lanes(connection, ids)
        deleted = connection.execute(delete(lanes).where(lanes.c.id.in_(ids), unused)).rowcount
    return deleted, rows[-1].id if len(rows) == BATCH else None


def _oldest_delivery(connection: Connection, default: int) -> int:
    """Return when the notification of the delivery that was made first came; ids rise as deliveries are made."""
    first = select(deliveries.c.notification_id).order_by(deliveries.c.id).limit(1).scalar_subquery()
    found = connection.execute(select(notifications.c.received_at).where(notifications.c.id == first)).scalar()
    return default if found is None else int(found)


def _unused(before: int) -> ColumnElement[bool]:
    return and_(
        lanes.c.claimable_at.is_(None),
        lanes.c.holder.is_(None),
        lanes.c.used_at < before,
        lanes.c.last_number < before,
    )
