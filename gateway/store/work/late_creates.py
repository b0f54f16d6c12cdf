"""Create notifications that come after their record was backfilled: kept without work, their outcome is the record's.

The rules, before the SQL:

- Keeping looks such records up by one statement for a whole group, and only if there is a create notification in it.
- Letting records in (`admit`) and keeping creates shut each other out, so that whichever comes second
  sees what the first has committed: SQLite has one writer at a time; on PostgreSQL the look-up locks the table for
  sharing until its transaction ends, and letting in locks it whole.
- The outcome is that of the backfilled notification. One that is not known yet, or is failed and may be mended by a
  replay, is followed (`follow`) until it is completed, and reported like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from gateway.models import Event, Mode, Outcome
from gateway.store.engine.bulk_sql import AnyOf, Prepared, many
from gateway.store.engine.ids import Ids
from gateway.store.engine.locks import lock_notifications
from gateway.store.engine.transaction_time import ask, from_store, micros
from gateway.store.tables import backfilled, late_creates, notifications
from gateway.store.work import inbox
from gateway.store.work.inbox import Keep, Kept
from gateway.store.work.outcome import ANSWER_MARK, becomes

_look_up = Prepared(
    select(backfilled.c.record_key, backfilled.c.account, backfilled.c.notification_id, backfilled.c.kept_at)
    .where(AnyOf(backfilled.c.record_key, "keys"))
    .with_for_update(read=True, key_share=True)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Backfilled:
    """A record that came by reconciliation."""

    notification_id: int
    reason: str
    outcome: Outcome | None


def any_backfilled(connection: Connection) -> bool:
    """Tell whether a record has ever been backfilled."""
    return connection.execute(select(func.min(backfilled.c.record_key))).scalar() is not None


def keep(connection: Connection, group: Sequence[Keep], *, ids: Ids, token: str, lease: float) -> list[Kept]:
    """Keep a group as `inbox.keep` does, but without work what speaks of the creation of a backfilled record."""
    creates = {item.notification.record_key for item in group if item.notification.event is Event.CREATE} - {None}
    known = _backfilled(connection, sorted(str(key) for key in creates)) if creates else {}
    found = {id(item): known.get(_record_of(item)) for item in group} if known else {}
    late = {item: one for item, one in found.items() if one is not None}
    changed = [_ended(item, late[id(item)]) if id(item) in late else item for item in group]
    kept = inbox.keep(connection, changed, ids=ids, token=token, lease=lease)
    follows = {
        one.id: late[id(item)].notification_id
        for item, one in zip(group, kept, strict=True)
        if id(item) in late and not one.repeat and one.outcome is not Outcome.COMPLETED
    }
    if follows:
        rows = [{"notification_id": id_, "backfill_id": of} for id_, of in follows.items()]
        connection.execute(insert(late_creates), rows)
    return kept


def _record_of(item: Keep) -> tuple[str, str] | None:
    key = item.notification.record_key
    return None if key is None or item.notification.event is not Event.CREATE else (item.account, key)


def _ended(item: Keep, known: _Backfilled) -> Keep:
    return replace(
        item,
        mode=Mode.DELAYED,
        reason=known.reason,
        matched=True,
        alarm=None,
        outcome=known.outcome,
        fetch=False,
        deliveries=(),
    )


def _backfilled(connection: Connection, keys: Sequence[str]) -> dict[tuple[str, str] | None, _Backfilled]:
    rows = _look_up.run(connection, keys=many(connection, keys)).fetchall()
    if not rows:
        return {}
    column = notifications.c
    wanted = select(column.id, column.notification_key, column.outcome).where(column.id.in_([row[2] for row in rows]))
    kept = {id_: (key, outcome) for id_, key, outcome in connection.execute(wanted)}
    found: dict[tuple[str, str] | None, _Backfilled] = {}
    for record_key, account, notification_id, kept_at in rows:
        key, outcome = kept.get(notification_id, (None, Outcome.COMPLETED.value))  # deleted long after it ended
        since = f"known since {from_store(kept_at):%Y-%m-%d %H:%M} UTC: backfilled"
        found[account, record_key] = _Backfilled(
            notification_id=notification_id,
            reason=since if key is None else f"{since} as {key}",
            outcome=None if outcome is None else Outcome(outcome),
        )
    return found


_late, _first = notifications.alias("late"), notifications.alias("first")
_behind = (
    select(_late.c.id, _first.c.outcome)
    .join_from(late_creates, _late, _late.c.id == late_creates.c.notification_id)
    .join(_first, _first.c.id == late_creates.c.backfill_id)
    .where(_first.c.outcome.is_not(None), or_(_late.c.outcome.is_(None), _late.c.outcome != _first.c.outcome))
    .limit(200)
)
_follow = (
    update(notifications)
    .where(notifications.c.id.in_(bindparam("ids", expanding=True)))
    .values(becomes(bindparam("verdict", type_=notifications.c.outcome.type)))
)


def behind(connection: Connection) -> dict[int, Outcome]:
    """Return the late notifications whose outcome is not that of their record, with what it should be."""
    return {id_: Outcome(outcome) for id_, outcome in connection.execute(_behind)}


def follow(connection: Connection) -> int:
    """Give late notifications the outcome of their record, where that is known by now; returns how many."""
    lock_notifications(connection, sorted(behind(connection)))
    found = behind(connection)
    moment = ask(connection)[1]
    for verdict in Outcome:
        if ids := [id_ for id_, outcome in found.items() if outcome is verdict]:
            values = {"ids": ids, "verdict": verdict.value, "moment": moment, "stand_by": moment + micros(ANSWER_MARK)}
            connection.execute(_follow, values)
            if verdict is Outcome.COMPLETED:
                connection.execute(delete(late_creates).where(late_creates.c.notification_id.in_(ids)))
    return len(found)
