"""Pinned records: fetched once for a notification and kept as they came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, or_, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.models import Event, FetchState, Notification, RecordKind
from gateway.store import record_ids
from gateway.store.clock import ask, from_store, micros
from gateway.store.locks import lock_notifications
from gateway.store.tables import notifications, records
from gateway.store.texts import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNotification:
    """A notification as it stands in the store."""

    id: int
    notification: Notification
    account: str
    webservice: str | None
    fetch_state: FetchState
    fetch_attempts: int = 0
    fetch_spent: int = 0
    fetch_reason: str | None = None
    fetch_due_at: int | None = None
    """When it may be tried, in the store's time; None: at once."""
    fetch_held: bool = False
    """A process tries it now, unless its lease has lapsed."""


def load(connection: Connection, ids: list[int]) -> dict[int, KeptNotification]:
    """Read notifications by their ids."""
    rows = connection.execute(select(notifications).where(notifications.c.id.in_(ids)))
    return {row.id: _kept(row) for row in rows}


def _kept(row: object) -> KeptNotification:
    value = row._mapping  # type: ignore[attr-defined]
    received = from_store(value["received_at"])
    assert received is not None
    return KeptNotification(
        id=value["id"],
        notification=Notification(
            key=value["notification_key"],
            webservice_id=value["webservice_id"],
            event=Event(value["event"]),
            status=value["status"],
            customer_key=value["customer_key"],
            submission_key=value["submission_key"],
            dispatch_key=value["dispatch_key"],
            created=from_store(value["created_at"]),
            received=received,
            body=value["body"],
        ),
        account=value["account"],
        webservice=value["webservice"],
        fetch_state=FetchState(value["fetch_state"]),
        fetch_attempts=value["fetch_attempts"],
        fetch_spent=value["fetch_spent"],
        fetch_reason=value["fetch_reason"],
        fetch_due_at=value["fetch_due_at"],
        fetch_held=value["fetch_holder"] is not None,
    )


def pinned(connection: Connection, notification_id: int) -> dict[RecordKind, bytes]:
    """Return what was fetched for a notification."""
    rows = connection.execute(select(records.c.kind, records.c.raw).where(records.c.notification_id == notification_id))
    return {RecordKind(row.kind): row.raw for row in rows}


def last_pinned(connection: Connection, account: str, record_key: str, before: int) -> tuple[RecordKind, bytes] | None:
    """Return what was last fetched of a record for a notification kept before this one; for deletes."""
    row = connection.execute(
        select(records.c.kind, records.c.raw)
        .where(
            records.c.account == account,
            records.c.record_key == record_key,
            records.c.notification_id < before,
        )
        .order_by(records.c.notification_id.desc())
        .limit(1)
    ).first()
    return None if row is None else (RecordKind(row.kind), row.raw)


def earlier_due(connection: Connection, account: str, record_key: str, before: int) -> list[KeptNotification]:
    """Return the notifications of a record, kept before this one, whose fetch is still due, in order of arrival."""
    column = notifications.c
    rows = connection.execute(
        select(notifications)
        .where(
            column.account == account,
            column.record_key == record_key,
            column.fetch_state == FetchState.DUE.value,
            column.id < before,
        )
        .order_by(column.id)
    )
    return [_kept(row) for row in rows]


def pin(
    connection: Connection,
    kept: KeptNotification,
    fetched: Mapping[RecordKind, bytes],
    ids: Mapping[str, str] | None = None,
) -> None:
    """Keep what was fetched for a notification, in place of what was fetched before; ``ids`` is what it taught."""
    record_ids.learn(connection, kept.account, ids or {})
    if fetched:
        statement = insert(records)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[records.c.notification_id, records.c.kind],
                set_={"raw": statement.excluded.raw, "fetched_at": statement.excluded.fetched_at},
            ),
            [
                {
                    "notification_id": kept.id,
                    "kind": kind.value,
                    "account": kept.account,
                    "record_key": kept.notification.key_of(kind),
                    "raw": raw,
                    "fetched_at": ask(connection)[1],
                }
                for kind, raw in fetched.items()
            ],
        )
    connection.execute(
        update(notifications)
        .where(notifications.c.id == kept.id)
        .values(fetch_state=FetchState.PINNED.value, fetch_reason=None, fetch_due_at=None, fetch_holder=None)
    )


def note_failed_fetch(
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
    column = notifications.c
    connection.execute(
        update(notifications)
        .where(column.id == notification_id)
        .values(
            fetch_state=state.value,
            fetch_reason=clean(reason),
            fetch_due_at=due_at,
            fetch_holder=None,
            fetch_attempts=column.fetch_attempts + (1 if counted else 0),
            fetch_spent=column.fetch_spent + spent,
        )
    )


def claim_fetch(
    connection: Connection, notification_id: int, *, token: str, lease: float, state: FetchState = FetchState.DUE
) -> float | None:
    """Claim the fetch for a notification that still is in this state.

    Returns the lease's end by `time.monotonic`, None if it is not to be had.
    """
    asked_at, moment = ask(connection)
    column = notifications.c
    made = connection.execute(
        update(notifications)
        .where(
            column.id == notification_id,
            column.fetch_state == state.value,
            or_(column.fetch_due_at.is_(None), column.fetch_due_at <= moment),
        )
        .values(fetch_due_at=moment + micros(lease), fetch_holder=token)
    )
    return asked_at + lease if made.rowcount == 1 else None


def renew_fetches(connection: Connection, held: Mapping[int, str], lease: float) -> dict[int, float]:
    """Renew leases; returns notification id -> new end by `time.monotonic` for those that were still held."""
    asked_at, moment = ask(connection)
    column = notifications.c
    lock_notifications(connection, held)
    standing = connection.execute(select(column.id, column.fetch_holder).where(column.id.in_(list(held))))
    mine = [row.id for row in standing if row.fetch_holder == held[row.id]]
    connection.execute(update(notifications).where(column.id.in_(mine)).values(fetch_due_at=moment + micros(lease)))
    return dict.fromkeys(mine, asked_at + lease)


def release_fetch(connection: Connection, notification_id: int, *, token: str) -> None:
    """Hand a claimed fetch back; it may be tried at once."""
    connection.execute(
        update(notifications)
        .where(notifications.c.id == notification_id, notifications.c.fetch_holder == token)
        .values(fetch_due_at=None, fetch_holder=None)
    )
