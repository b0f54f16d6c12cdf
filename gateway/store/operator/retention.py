"""Retention: what ended long ago is deleted, in small batches, and its key stays as a tombstone.

The rules, before the SQL:

- Only what has ended goes: outcome known (or nothing matched), no delivery in its lane, no report due. A fetch may be
  due still: nobody needs its record any more.
- The tombstone is the notification's own row without its body. Keeping so meets it by the same insert-and-see, with no
  statement more for each notification, and a repeat is answered with the outcome.
- A tombstone stays for `TOMBSTONE` from the day its notification was deleted, however short the retention is.
- Learnt ids are for ever.
- A batch judges and deletes in one transaction, under the locks that a replay takes, so that nobody replays in between
  what is being deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, or_, select, true, update

from gateway.models import FetchState, ReportState
from gateway.store.engine.locks import lock_lanes, lock_notifications
from gateway.store.engine.transaction_time import micros
from gateway.store.operator.lane_cleanup import prune_lanes
from gateway.store.tables import alarms, deliveries, notifications, quarantine, records
from gateway.store.work import attachments, call_counts

TOMBSTONE = 30 * 86400.0
"""Seconds for which the key of a deleted notification is remembered with its outcome."""
BATCH = 200
"""How many notifications a batch looks at: a few milliseconds, which is what others may have to wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was deleted, or would be."""

    notifications: int = 0
    attachments: int = 0
    tombstones: int = 0
    quarantine: int = 0
    alarms: int = 0
    lanes: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        return Pruned(
            notifications=self.notifications + other.notifications,
            attachments=self.attachments + other.attachments,
            tombstones=self.tombstones + other.tombstones,
            quarantine=self.quarantine + other.quarantine,
            alarms=self.alarms + other.alarms,
            lanes=self.lanes + other.lanes,
        )


Step = Callable[[Connection], "tuple[Pruned, Step | None]"]
"""A short transaction of a walk through the store: what it deleted, and the step that follows."""

_row = notifications.c
_of_it = deliveries.c.notification_id == _row.id


def count(connection: Connection, *, moment: int, older_than: float) -> Pruned:
    """Count what would be deleted; ``older_than`` is in seconds.

    Not the lanes: which of them go shows only when their deliveries have gone.
    """
    before = moment - micros(older_than)

    def number(table: Any, condition: ColumnElement[bool]) -> int:
        return connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()

    return Pruned(
        notifications=number(notifications, _ended(before)),
        attachments=attachments.count(connection, select(_row.id).where(_ended(before))),
        tombstones=number(notifications, _row.pruned_at < moment - micros(TOMBSTONE)),
        quarantine=number(quarantine, quarantine.c.received_at < before),
        alarms=number(alarms, alarms.c.cleared_at < before),
    )


def first_step(*, moment: int, older_than: float) -> Step:
    """Return the first step of a walk that deletes all that is older than so many seconds at this moment."""

    def others(connection: Connection) -> tuple[Pruned, Step | None]:
        return prune_others(connection, moment=moment, older_than=older_than), partial(batch, after=0)

    def batch(connection: Connection, after: int) -> tuple[Pruned, Step | None]:
        done, onwards = prune(connection, after=after, moment=moment, older_than=older_than)
        return done, partial(unused, after=0) if onwards is None else partial(batch, after=onwards)

    def unused(connection: Connection, after: int) -> tuple[Pruned, Step | None]:
        done, onwards = prune_lanes(connection, after=after, before=moment - micros(older_than))
        return Pruned(lanes=done), None if onwards is None else partial(unused, after=onwards)

    return others


def prune(connection: Connection, *, after: int, moment: int, older_than: float) -> tuple[Pruned, int | None]:
    """Delete what has ended among the next notifications whose id is above ``after``.

    Returns what was deleted, and where to go on; None at the end.
    """
    before = moment - micros(older_than)
    rows = connection.execute(_window(after, before)).all()
    ended = _locked(connection, [row.id for row in rows if row.ended], before)
    buried = [row.id for row in rows if row.pruned_at is not None and row.pruned_at < moment - micros(TOMBSTONE)]
    forgotten = 0
    if ended:
        connection.execute(delete(deliveries).where(deliveries.c.notification_id.in_(ended)))
        forgotten = attachments.forget(connection, ended)
        connection.execute(delete(records).where(records.c.notification_id.in_(ended)))
        connection.execute(update(notifications).where(_row.id.in_(ended)).values(_tombstone(moment)))
    if buried:
        connection.execute(delete(notifications).where(_row.id.in_(buried)))
    on = len(rows) == BATCH and any(row.received_at < before for row in rows)  # ids rise as notifications come
    onwards = rows[-1].id if on else None
    return Pruned(notifications=len(ended), attachments=forgotten, tombstones=len(buried)), onwards


def _locked(connection: Connection, ids: Sequence[int], before: int) -> Sequence[int]:
    """Lock notifications with the lanes of their deliveries; returns those that have still ended then."""
    if not ids or connection.dialect.name == "sqlite":
        return ids
    of_them = select(deliveries.c.lane_id).where(deliveries.c.notification_id.in_(ids)).distinct()
    lock_lanes(connection, connection.execute(of_them).scalars().all())
    lock_notifications(connection, ids)
    return connection.execute(select(_row.id).where(_row.id.in_(ids), _ended(before))).scalars().all()


def prune_others(connection: Connection, *, moment: int, older_than: float) -> Pruned:
    """Delete old quarantine and alarms that were cleared long ago."""
    before = moment - micros(older_than)
    bodies = connection.execute(delete(quarantine).where(quarantine.c.received_at < before)).rowcount
    cleared = connection.execute(delete(alarms).where(alarms.c.cleared_at < before)).rowcount
    call_counts.prune(connection, moment)
    return Pruned(quarantine=bodies, alarms=cleared)


def _window(after: int, before: int) -> Select[Any]:
    """Walk by the primary key: no index on the age, which every notification would have to pay for."""
    looked_at = (_row.id, _row.received_at, _row.pruned_at, _ended(before).label("ended"))
    return select(*looked_at).where(_row.id > after).order_by(_row.id).limit(BATCH)


def _ended(before: int) -> ColumnElement[bool]:
    return and_(
        _row.pruned_at.is_(None),
        _row.received_at < before,
        func.coalesce(_row.outcome_at, 0) < before,
        or_(_row.outcome.is_not(None), ~_row.matched),
        ~_row.answer_open,
        _row.report_due_at.is_(None),
        ~exists().where(_of_it, or_(deliveries.c.in_lane, deliveries.c.settled_at >= before)),
    )


def _tombstone(moment: int) -> dict[str, Any]:
    """Return what a deleted notification's row becomes: nothing of it is an alarm's cause any more."""
    return {
        "pruned_at": moment,
        "body": b"",
        "matched": true(),
        "report_state": ReportState.NONE.value,
        "report_reason": None,
        "fetch_state": FetchState.NONE.value,
        "fetch_reason": None,
    }
