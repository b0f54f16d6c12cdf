"""Pinned records: fetched once for a notification and kept as they came."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.models import Event, FetchState, Notification, RecordKind
from gateway.store.clock import from_store, now
from gateway.store.tables import notifications, records


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


def pin(connection: Connection, kept: KeptNotification, fetched: dict[RecordKind, bytes]) -> None:
    """Keep what was fetched for a notification, in place of what was fetched before."""
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
                    "fetched_at": now(),
                }
                for kind, raw in fetched.items()
            ],
        )
    connection.execute(
        update(notifications)
        .where(notifications.c.id == kept.id)
        .values(fetch_state=FetchState.PINNED.value, fetch_reason=None)
    )


def fetch_again(connection: Connection, notification_id: int) -> None:
    """Make a fetch due once more that has been made."""
    connection.execute(
        update(notifications)
        .where(notifications.c.id == notification_id, notifications.c.fetch_state == FetchState.PINNED.value)
        .values(fetch_state=FetchState.DUE.value, fetch_attempts=0, fetch_spent=0)
    )


def note_failed_fetch(
    connection: Connection, notification_id: int, *, state: FetchState, reason: str, spent: int
) -> None:
    """Note that a fetch failed, and whether it was the last."""
    column = notifications.c
    connection.execute(
        update(notifications)
        .where(column.id == notification_id)
        .values(
            fetch_state=state.value,
            fetch_reason=reason,
            fetch_attempts=column.fetch_attempts + 1,
            fetch_spent=column.fetch_spent + spent,
        )
    )
