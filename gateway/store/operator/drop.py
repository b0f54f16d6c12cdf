"""Drops deliveries: a person gives them up. They count as failed, and a strict lane goes on."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, case, select, update

from gateway.models import AlarmKind, DeliveryState, Outcome, ReasonCode, ReportState
from gateway.store.engine.transaction_time import ask
from gateway.store.operator import alarm_conditions
from gateway.store.operator.actions import ActionResult, Actor, being_sent, lock_their_lanes, note, open_lanes
from gateway.store.tables import deliveries, notifications
from gateway.store.work import alarms
from gateway.store.work.outcome import conclude


def drop(connection: Connection, ids: Collection[int], by: Actor) -> list[ActionResult]:
    """End deliveries that are pending or dead as dropped; outcomes that follow are set and reported."""
    _, moment = ask(connection)
    touched = lock_their_lanes(connection, ids)
    sending = being_sent(connection, touched, moment)
    rows = connection.execute(
        select(deliveries, notifications.c.notification_key)
        .join_from(deliveries, notifications)
        .where(deliveries.c.id.in_(ids))
        .order_by(deliveries.c.id)
    ).all()
    results, ended = [], []
    for row in rows:
        refused = _refusal(row, is_sent=sending.get(row.lane_id) == row.id)
        results.append(
            ActionResult(
                id=row.id,
                notification=row.notification_key,
                route=row.route,
                destination=row.destination,
                done=refused is None,
                text=refused or f"dropped {by}",
            )
        )
        if refused is None:
            ended.append(row)
    for row in ended:
        _end(connection, row, by, moment)
    open_lanes(connection, {row.lane_id for row in ended} - sending.keys())
    conclude(connection, {row.notification_id for row in ended if row.required}, moment)
    return results


def _refusal(row: Row[Any], *, is_sent: bool) -> str | None:
    if row.state not in (DeliveryState.PENDING, DeliveryState.DEAD):
        return f"it is {row.state}: only what is pending or dead can be dropped"
    if is_sent:
        return "it is being sent at this moment: try again when that has ended"
    return None


def _end(connection: Connection, row: Row[Any], by: Actor, moment: int) -> None:
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == row.id)
        .values(
            state=DeliveryState.DROPPED.value,
            in_lane=False,
            sending_at=None,
            alone_at=None,
            doubt=False,
            reason=f"dropped {by}",
            reason_code=ReasonCode.DROPPED.value,
            reason_subject=None,
            settled_at=moment,
        )
    )
    note(connection, row.id, tries=row.attempts, what="dropped", text=str(by), moment=moment)


def drop_unmatched(connection: Connection, ids: Collection[int], by: Actor) -> list[ActionResult]:
    """Give up notifications that no route matched: failed, if they had no outcome yet, and their alarm ends."""
    column, (_, moment) = notifications.c, ask(connection)
    rows = connection.execute(
        select(column.id, column.notification_key, column.webservice_id)
        .where(column.id.in_(ids), column.matched.is_(False))
        .order_by(column.id)
    ).all()
    is_open = column.outcome.is_(None)
    connection.execute(
        update(notifications)
        .where(column.id.in_([row.id for row in rows]))
        .values(
            mode_reason=f"dropped {by}",
            mode_code=ReasonCode.DROPPED.value,
            outcome=case((is_open, Outcome.FAILED.value), else_=column.outcome),
            outcome_at=case((is_open, moment), else_=column.outcome_at),
            report_due_at=case(
                (is_open & (column.report_state == ReportState.OPEN.value), moment), else_=column.report_due_at
            ),
        )
    )
    clear_unmatched(connection, {row.webservice_id for row in rows})
    return [
        ActionResult(
            id=row.id,
            notification=row.notification_key,
            route=None,
            destination=None,
            done=True,
            text=f"unmatched, dropped {by}",
        )
        for row in rows
    ]


def clear_unmatched(connection: Connection, webservice_ids: Collection[str]) -> None:
    """Clear the alarm of each web service of which no unmatched notification waits for a person any more."""
    for webservice_id in [*webservice_ids, alarms.UNDECLARED]:
        if not alarm_conditions.unmatched(connection, webservice_id):
            alarms.clear_alarm(connection, AlarmKind.UNMATCHED, webservice_id)
