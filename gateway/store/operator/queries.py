"""Lists and shows notifications and deliveries for a person."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    ScalarSelect,
    Select,
    and_,
    case,
    exists,
    func,
    or_,
    select,
)

from gateway.models import DeliveryState, ReasonCode
from gateway.store.engine.sanitize import read_receipt
from gateway.store.engine.transaction_time import from_store, to_store
from gateway.store.operator.views import (
    AttemptSummary,
    Candidate,
    DeliveryDetails,
    DeliveryFilter,
    DeliverySummary,
    NotificationCandidate,
    NotificationDetails,
    NotificationFilter,
    NotificationSummary,
    Standing,
)
from gateway.store.tables import attempts, backfilled, deliveries, lanes, notifications, pauses, records, renderings
from gateway.store.work import attachments

BACKFILL, NOTIFICATION = "backfill", "notification"
"""Kinds of notifications: those that stand in for one that never came, and those that did."""
_is_backfill = exists(select(backfilled.c.record_key).where(backfilled.c.notification_id == notifications.c.id))


def find_notifications(connection: Connection, wanted: NotificationFilter) -> list[NotificationSummary]:
    """Return notifications, newest first."""
    rows = connection.execute(_notifications(wanted)).all()
    counts = _counts(connection, [row.id for row in rows])
    return [NotificationSummary(**_summary(row, counts.get(row.id, {}))) for row in rows]


def find_notification_candidates(
    connection: Connection, wanted: NotificationFilter, *, ids: Collection[int] | None = None
) -> list[NotificationCandidate]:
    """Return in short what `find_notifications` finds, the oldest first; ``ids`` narrows it to these."""
    column = notifications.c
    statement = _notifications(wanted).with_only_columns(
        column.id, column.matched, column.mode_reason, column.mode_code
    )
    if ids is not None:
        statement = statement.where(column.id.in_(ids))
    rows = connection.execute(statement).all()
    return [
        NotificationCandidate(id=row.id, matched=row.matched, reason=row.mode_reason, code=row.mode_code)
        for row in reversed(rows)
    ]


def _notifications(wanted: NotificationFilter) -> Select[Any]:
    column = notifications.c
    statement = select(notifications, _is_backfill.label("is_backfill")).order_by(column.id.desc()).limit(wanted.limit)
    if not wanted.deleted:
        statement = statement.where(column.pruned_at.is_(None))
    for name, value in (
        ("notification_key", wanted.key),
        ("webservice", wanted.webservice),
        ("record_key", wanted.record_key),
        ("event", wanted.event),
    ):
        if value is not None:
            statement = statement.where(column[name] == value)
    if wanted.outcome is not None:
        statement = statement.where(
            column.outcome.is_(None) if wanted.outcome == "open" else column.outcome == wanted.outcome
        )
    if wanted.kind is not None:
        statement = statement.where(_is_backfill if wanted.kind == BACKFILL else ~_is_backfill)
    if wanted.unmatched:
        statement = statement.where(column.matched.is_(False))
    if (having := _having(wanted)) is not None:
        statement = statement.where(having)
    if wanted.error is not None:
        statement = statement.where(_mentions(wanted.error))
    return _received(statement, wanted)


def _having(wanted: NotificationFilter) -> ColumnElement[bool] | None:
    """Return that a notification has a delivery of this route, to this destination, in this state."""
    asked = {"route": wanted.route, "destination": wanted.destination, "state": wanted.state}
    conditions = [deliveries.c[name] == value for name, value in asked.items() if value is not None]
    if not conditions:
        return None
    return exists(select(deliveries.c.id).where(deliveries.c.notification_id == notifications.c.id, *conditions))


def _mentions(error: str) -> ColumnElement[bool]:
    column = notifications.c
    said = select(deliveries.c.id).where(
        deliveries.c.notification_id == column.id, _contains(deliveries.c.reason, error)
    )
    return or_(
        exists(said),
        _contains(column.fetch_reason, error),
        _contains(column.report_reason, error),
        column.matched.is_(False) & _contains(column.mode_reason, error),
    )


def _contains(column: Column[Any], text: str) -> ColumnElement[bool]:
    return column.icontains(text, autoescape=True)


def _received(statement: Select[Any], wanted: NotificationFilter | DeliveryFilter) -> Select[Any]:
    if wanted.since is not None:
        statement = statement.where(notifications.c.received_at >= to_store(wanted.since))
    if wanted.until is not None:
        statement = statement.where(notifications.c.received_at < to_store(wanted.until))
    return statement


def _counts(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, int]]:
    column = deliveries.c
    rows = connection.execute(
        select(column.notification_id, column.state, func.count().label("count"))
        .where(column.notification_id.in_(ids))
        .group_by(column.notification_id, column.state)
    )
    counts: dict[int, dict[str, int]] = {}
    for id_, state, count in rows:
        counts.setdefault(id_, {})[state] = count
    return counts


def _summary(row: Row[Any], counts: dict[str, int]) -> dict[str, Any]:
    return {
        "id": row.id,
        "key": row.notification_key,
        "kind": BACKFILL if row.is_backfill else NOTIFICATION,
        "webservice": row.webservice,
        "webservice_id": row.webservice_id,
        "account": row.account,
        "form": row.form,
        "project": row.project,
        "event": row.event,
        "status": row.status,
        "record_key": row.record_key,
        "received": from_store(row.received_at),
        "mode": row.mode,
        "mode_reason": row.mode_reason,
        "matched": row.matched,
        "repeats": row.repeats,
        "outcome": row.outcome,
        "answer": row.answer,
        "report": row.report_state,
        "deliveries": counts,
    }


def show_notification(connection: Connection, id_: int) -> NotificationDetails | None:
    """Return everything about a notification."""
    statement = select(notifications, _is_backfill.label("is_backfill")).where(notifications.c.id == id_)
    row = connection.execute(statement).first()
    if row is None:
        return None
    pinned = connection.execute(select(records.c.kind, records.c.raw).where(records.c.notification_id == id_))
    return NotificationDetails(
        **_summary(row, _counts(connection, [id_]).get(id_, {})),
        customer_key=row.customer_key,
        submission_key=row.submission_key,
        dispatch_key=row.dispatch_key,
        created=from_store(row.created_at),
        settled=from_store(row.outcome_at),
        deleted=from_store(row.pruned_at),
        body=row.body.decode("utf-8", "replace"),
        fetch=row.fetch_state,
        fetch_attempts=row.fetch_attempts,
        fetch_reason=row.fetch_reason,
        report_due=from_store(row.report_due_at),
        report_attempts=row.report_attempts,
        report_reason=row.report_reason,
        reported=from_store(row.reported_at),
        pinned={kind: raw.decode("utf-8", "replace") for kind, raw in pinned},
        attachments=attachments.show(connection, id_),
        all_deliveries=[
            DeliverySummary(**_delivery(each)) for each in connection.execute(_of_notification.where(_of == id_))
        ],
    )


_ahead = deliveries.alias("ahead")


def _of_the_head(column: ColumnElement[Any]) -> ScalarSelect[Any]:
    """Read a column of the delivery at the head of a lane, for one that stands behind it."""
    statement = select(column).where(
        _ahead.c.lane_id == deliveries.c.lane_id, _ahead.c.in_lane, _ahead.c.number < deliveries.c.number
    )
    return statement.order_by(_ahead.c.number).limit(1).correlate(deliveries).scalar_subquery()


_pending = deliveries.c.state == DeliveryState.PENDING.value
_selected_deliveries = (
    select(
        deliveries,
        notifications.c.notification_key,
        lanes.c.key.label("lane_key"),
        pauses.c.reason.label("pause"),
        case((_pending, _of_the_head(_ahead.c.id))).label("behind"),
        case((_pending, _of_the_head(_ahead.c.state))).label("behind_state"),
    )
    .join_from(deliveries, notifications)
    .join(lanes, lanes.c.id == deliveries.c.lane_id)
    .outerjoin(pauses, and_(pauses.c.kind == "destination", pauses.c.name == deliveries.c.destination))
)
_of = deliveries.c.notification_id
_of_notification = _selected_deliveries.order_by(deliveries.c.id)


def find_deliveries(connection: Connection, wanted: DeliveryFilter) -> list[DeliverySummary]:
    """Return deliveries, newest first."""
    rows = connection.execute(_narrowed(_selected_deliveries, wanted))
    return [DeliverySummary(**_delivery(row)) for row in rows]


def find_candidates(connection: Connection, wanted: DeliveryFilter) -> list[Candidate]:
    """Return in short what `find_deliveries` finds."""
    statement = select(*_candidate).join_from(deliveries, notifications)
    return [Candidate(**row._mapping) for row in connection.execute(_narrowed(statement, wanted))]


def find_candidate(connection: Connection, id_: int | None = None, *, key: str | None = None) -> Candidate | None:
    """Return a delivery in short, by its id or its delivery key."""
    row = connection.execute(_one_of(select(*_candidate), id_, key)).first()
    return None if row is None else Candidate(**row._mapping)


def _one_of(statement: Select[Any], id_: int | None, key: str | None) -> Select[Any]:
    """Narrow to one delivery, by its id or its key.

    Keys have no index, for which every notification would have to pay: they are looked for from the newest on, which is
    what somebody asks for who has a key at hand.
    """
    if key is None:
        return statement.where(deliveries.c.id == id_)
    return statement.where(deliveries.c.delivery_key == key).order_by(deliveries.c.id.desc()).limit(1)


def find_candidates_of(connection: Connection, notification_ids: Collection[int]) -> list[Candidate]:
    """Return the deliveries of notifications."""
    statement = select(*_candidate).where(deliveries.c.notification_id.in_(notification_ids))
    return [Candidate(**row._mapping) for row in connection.execute(statement)]


_candidate = [deliveries.c[name] for name in ("id", "lane_id", "number", "route", "destination", "state", "reason")]


def _narrowed(statement: Select[Any], wanted: DeliveryFilter) -> Select[Any]:
    statement = statement.order_by(deliveries.c.id.desc()).limit(wanted.limit)
    for column, value in (
        (notifications.c.notification_key, wanted.notification),
        (notifications.c.record_key, wanted.record_key),
        (deliveries.c.route, wanted.route),
        (deliveries.c.destination, wanted.destination),
        (deliveries.c.state, wanted.state),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.error is not None:
        statement = statement.where(_contains(deliveries.c.reason, wanted.error))
    if wanted.lacking:
        delivered = deliveries.c.state == DeliveryState.DELIVERED.value
        statement = statement.where(delivered, deliveries.c.reason_code == ReasonCode.ATTACHMENT_MISSING.value)
    return _received(statement, wanted)


def names_in_use(connection: Connection) -> tuple[set[str], set[str]]:
    """Return the names of routes, and of destinations, that deliveries have; looks through all of them."""
    rows = connection.execute(select(deliveries.c.route, deliveries.c.destination).distinct()).all()
    return {row.route for row in rows}, {row.destination for row in rows}


def find_standing(connection: Connection) -> dict[str, Standing]:
    """Return how many deliveries wait, why one of them does, and how many are dead, by destination."""
    column = deliveries.c
    counts: dict[str, dict[str, int]] = {}
    for state, waits in ((DeliveryState.PENDING, column.in_lane), (DeliveryState.DEAD, None)):
        statement = select(column.destination, func.count()).where(column.state == state.value)
        if waits is not None:
            statement = statement.where(waits)
        for name, count in connection.execute(statement.group_by(column.destination)):
            counts.setdefault(name, {})[state] = count
    return {
        name: Standing(
            waiting=of.get(DeliveryState.PENDING, 0),
            dead=of.get(DeliveryState.DEAD, 0),
            reason=_put_off(connection, name) if DeliveryState.PENDING in of else None,
        )
        for name, of in counts.items()
    }


def _put_off(connection: Connection, destination: str) -> str | None:
    column = deliveries.c
    statement = select(column.reason).where(
        column.in_lane, _pending, column.destination == destination, column.reason.is_not(None)
    )
    found: str | None = connection.execute(statement.order_by(column.lane_id, column.number).limit(1)).scalar()
    return found


def show_delivery(connection: Connection, id_: int | None = None, *, key: str | None = None) -> DeliveryDetails | None:
    """Return everything about a delivery, by its id or its delivery key."""
    row = connection.execute(_one_of(_selected_deliveries, id_, key)).first()
    if row is None:
        return None
    tried = connection.execute(select(attempts).where(attempts.c.delivery_id == row.id).order_by(attempts.c.id))
    sent = connection.execute(select(renderings.c.options).where(renderings.c.delivery_id == row.id)).scalar()
    return DeliveryDetails(
        **_delivery(row),
        history=[
            AttemptSummary(number=one.number, ended=from_store(one.ended_at), result=one.result, reason=one.reason)
            for one in tried
        ],
        sent=None if sent is None else _readable(sent),
        attachments=attachments.show(connection, row.notification_id),
    )


def _delivery(row: Row[Any]) -> dict[str, Any]:
    pending = row.state == DeliveryState.PENDING
    return {
        "id": row.id,
        "notification": row.notification_key,
        "route": row.route,
        "name": row.name,
        "destination": row.destination,
        "state": row.state,
        "required": row.required,
        "attempts": row.attempts,
        "due": from_store(row.due_at) if pending else None,
        "begun": from_store(row.sending_at) if pending else None,
        "behind": row.behind,
        "behind_state": row.behind_state,
        "pause": row.pause if pending else None,
        "settled": from_store(row.settled_at),
        "reason": row.reason,
        "reason_code": row.reason_code,
        "in_doubt": row.doubt,
        "receipt": read_receipt(row.receipt),
        "delivery_key": row.delivery_key,
        "lane": " ".join(part for part in row.lane_key.split("\x1f") if part),
        "number": row.number,
    }


def _readable(options: bytes) -> Any:
    try:
        return json.loads(options)
    except ValueError:
        return options.decode("utf-8", "replace")
