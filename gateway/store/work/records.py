"""Pinned records: fetched once for a notification and kept as they came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, case, func, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.models import Event, FetchState, Notification, RecordKind
from gateway.store.engine.bulk_sql import Prepared
from gateway.store.engine.transaction_time import ask, from_store
from gateway.store.tables import notifications, records
from gateway.store.work import record_ids


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
            received=from_store(value["received_at"]),
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


_of_notification = records.c.notification_id == bindparam("of_id", required=True)
_size = func.length(records.c.raw)
_pinned = Prepared(
    select(records.c.kind, _size, case((_size <= bindparam("most"), records.c.raw))).where(_of_notification)
)
_pinned_bodies = Prepared(select(records.c.kind, records.c.raw).where(_of_notification))
_insert = insert(records)
_pin = Prepared(
    _insert.on_conflict_do_update(
        index_elements=[records.c.notification_id, records.c.kind],
        set_={"raw": _insert.excluded.raw, "fetched_at": _insert.excluded.fetched_at},
    ),
    [column.name for column in records.c if column.name != "id"],
)
_note_pinned = Prepared(
    update(notifications)
    .where(notifications.c.id == bindparam("of_id", required=True))
    .values(fetch_state=FetchState.PINNED.value, fetch_reason=None, fetch_due_at=None, fetch_holder=None)
)


def pinned(connection: Connection, notification_id: int, *, most: int) -> dict[RecordKind, bytes | int]:
    """Return what was fetched for a notification; of what has more than ``most`` bytes how many it has."""
    rows = _pinned.run(connection, of_id=notification_id, most=most).fetchall()
    return {RecordKind(kind): size if raw is None else bytes(raw) for kind, size, raw in rows}


def pinned_bodies(connection: Connection, notification_id: int) -> dict[RecordKind, bytes]:
    """Return what was fetched for a notification, however large it is."""
    rows = _pinned_bodies.run(connection, of_id=notification_id).fetchall()
    return {RecordKind(kind): bytes(raw) for kind, raw in rows}


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


def pin(
    connection: Connection,
    kept: KeptNotification,
    fetched: Mapping[RecordKind, bytes],
    ids: Mapping[str, str] | None = None,
) -> None:
    """Keep what was fetched for a notification, in place of what was fetched before; ``ids`` is what it taught."""
    record_ids.learn(connection, kept.account, ids or {})
    for kind, raw in fetched.items():
        _pin.run(
            connection,
            notification_id=kept.id,
            kind=kind.value,
            account=kept.account,
            record_key=kept.notification.key_of(kind),
            raw=raw,
            fetched_at=ask(connection)[1],
        )
    _note_pinned.run(connection, of_id=kept.id)
