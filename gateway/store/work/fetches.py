"""How the fetch for a notification stands, who makes it, and that it failed; that it worked is noted by `records.pin`.

Where several processes share the store, a fetch is claimed: ``fetch_holder`` is the claim's token, and ``fetch_due_at``
the end of its lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Column, Connection, bindparam, literal_column, or_, select, text, update
from sqlalchemy.sql.selectable import ScalarSelect

from gateway.models import FetchState, RecordKind
from gateway.store.engine.bulk_sql import Prepared
from gateway.store.engine.locks import lock_notifications
from gateway.store.engine.sanitize import clean
from gateway.store.engine.transaction_time import ask, micros
from gateway.store.tables import notifications, record_ids
from gateway.store.work import records
from gateway.store.work.records import KeptNotification

_columns = notifications.c
_earlier = notifications.alias("earlier")
_DUE = text("'due'")  # as it stands in the index of what is due


def _id_of(key: Column[str]) -> ScalarSelect[str]:
    """Return the id that was learnt for a key of the notification."""
    column = record_ids.c
    found = select(column.id).where(column.account == _columns.account, column.record_key == key)
    return found.correlate(notifications).scalar_subquery()


_standing = Prepared(
    select(
        _columns.fetch_state,
        _columns.fetch_attempts,
        _columns.fetch_spent,
        _columns.fetch_reason,
        _columns.fetch_due_at,
        _columns.fetch_holder,
        _id_of(_columns.submission_key),
        _id_of(_columns.dispatch_key),
        select(_earlier.c.id)
        .where(
            _earlier.c.account == _columns.account,
            _earlier.c.record_key == _columns.record_key,
            _earlier.c.fetch_state == _DUE,
            _earlier.c.id < _columns.id,
        )
        .limit(literal_column("1"))
        .correlate(notifications)
        .scalar_subquery(),
    ).where(_columns.id == bindparam("of_id", required=True))
)
_earlier_due = Prepared(
    select(_columns.id)
    .where(
        _columns.account == bindparam("account", required=True),
        _columns.record_key == bindparam("record_key", required=True),
        _columns.fetch_state == _DUE,
        _columns.id < bindparam("before", required=True),
    )
    .order_by(_columns.id)
)
_claim = Prepared(
    update(notifications)
    .where(
        _columns.id == bindparam("of_id", required=True),
        _columns.fetch_state == bindparam("state", required=True),
        or_(_columns.fetch_due_at.is_(None), _columns.fetch_due_at <= bindparam("moment", required=True)),
    )
    .values(fetch_due_at=bindparam("until", required=True), fetch_holder=bindparam("token", required=True))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a fetch stands in the store."""

    kept: KeptNotification
    """The notification, with what is known of its fetch now."""
    learnt: Mapping[str, str]
    """Key -> id, of those of the notification's records whose id is known."""
    pinned: Mapping[RecordKind, bytes | int]
    """What was fetched, if it was; of what is large how many bytes it has."""
    has_earlier: bool
    """Whether the fetch for an earlier notification of the record is due."""


def standing(connection: Connection, kept: KeptNotification, *, most: int) -> Standing:
    """Return how the fetch for a notification stands, with what was fetched if that has not more than ``most`` bytes.

    Raises:
        LookupError: the notification is gone.
    """
    row = _standing.run(connection, of_id=kept.id).fetchone()
    if row is None:
        raise LookupError(f"the notification {kept.notification.key} is not in the store any more")
    state, attempts, spent, reason, due_at, holder, submission_id, dispatch_id, earlier = row
    fresh = replace(
        kept,
        fetch_state=FetchState(state),
        fetch_attempts=attempts,
        fetch_spent=spent,
        fetch_reason=reason,
        fetch_due_at=due_at,
        fetch_held=holder is not None,
    )
    pairs = {kept.notification.submission_key: submission_id, kept.notification.dispatch_key: dispatch_id}
    return Standing(
        kept=fresh,
        learnt={key: id_ for key, id_ in pairs.items() if key is not None and id_ is not None},
        pinned=records.pinned(connection, kept.id, most=most) if fresh.fetch_state is FetchState.PINNED else {},
        has_earlier=earlier is not None,
    )


def earlier_due(connection: Connection, kept: KeptNotification) -> list[KeptNotification]:
    """Return the notifications of a record, kept before this one, whose fetch is still due, in order of arrival."""
    found = _earlier_due.run(
        connection, account=kept.account, record_key=kept.notification.record_key, before=kept.id
    ).fetchall()
    ids = [id_ for (id_,) in found]
    loaded = records.load(connection, ids)
    return [loaded[id_] for id_ in ids]


def note_failed(
    connection: Connection,
    notification_id: int,
    *,
    state: FetchState,
    reason: str,
    spent: int,
    due_at: int | None = None,
    counted: bool = True,
) -> None:
    """Note that a fetch failed, and when it is tried again or that it was the last; ``counted`` as an attempt."""
    connection.execute(
        update(notifications)
        .where(_columns.id == notification_id)
        .values(
            fetch_state=state.value,
            fetch_reason=clean(reason),
            fetch_due_at=due_at,
            fetch_holder=None,
            fetch_attempts=_columns.fetch_attempts + (1 if counted else 0),
            fetch_spent=_columns.fetch_spent + spent,
        )
    )


def note_left(connection: Connection, notification_id: int, *, reason: str, wait: int) -> int | None:
    """Count a fetch whose process died amid it, which a lease that lapsed tells, and put it off; returns until when.

    None: it is not so any more; another process has counted it, or the fetch has ended.
    """
    due_at = ask(connection)[1] + wait
    left = connection.execute(
        update(notifications)
        .where(
            _columns.id == notification_id,
            _columns.fetch_state == FetchState.DUE.value,
            _columns.fetch_holder.is_not(None),
            _columns.fetch_due_at <= due_at - wait,
        )
        .values(
            fetch_holder=None,
            fetch_due_at=due_at,
            fetch_reason=clean(reason),
            fetch_attempts=_columns.fetch_attempts + 1,
            fetch_spent=_columns.fetch_spent + wait,
        )
    )
    return due_at if left.rowcount == 1 else None


def claim(
    connection: Connection, notification_id: int, *, token: str, lease: float, state: FetchState = FetchState.DUE
) -> float | None:
    """Claim the fetch for a notification that still is in this state.

    Returns the lease's end by `time.monotonic`, None if it is not to be had.
    """
    asked_at, moment = ask(connection)
    until = moment + micros(lease)
    made = _claim.run(connection, of_id=notification_id, state=state.value, moment=moment, until=until, token=token)
    return asked_at + lease if made.rowcount == 1 else None


def renew(connection: Connection, held: Mapping[int, str], lease: float) -> dict[int, float]:
    """Renew leases; returns notification id -> new end by `time.monotonic` for those that were still held."""
    asked_at, moment = ask(connection)
    lock_notifications(connection, held)
    standing = connection.execute(select(_columns.id, _columns.fetch_holder).where(_columns.id.in_(list(held))))
    mine = [row.id for row in standing if row.fetch_holder == held[row.id]]
    connection.execute(update(notifications).where(_columns.id.in_(mine)).values(fetch_due_at=moment + micros(lease)))
    return dict.fromkeys(mine, asked_at + lease)


def release(connection: Connection, notification_id: int, *, token: str) -> None:
    """Hand a claimed fetch back; it may be tried at once."""
    connection.execute(
        update(notifications)
        .where(notifications.c.id == notification_id, notifications.c.fetch_holder == token)
        .values(fetch_due_at=None, fetch_holder=None)
    )
