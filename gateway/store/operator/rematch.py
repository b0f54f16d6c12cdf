"""Matches unmatched notifications again, by order of a person."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import Connection, case, select, update

from gateway.models import FetchState, Mode, ReportState
from gateway.store.engine.ids import Ids
from gateway.store.engine.transaction_time import ask
from gateway.store.operator.actions import ActionResult, Actor
from gateway.store.operator.drop import clear_unmatched
from gateway.store.tables import notifications
from gateway.store.work import records
from gateway.store.work.inbox import Keep, add_deliveries
from gateway.store.work.outcome import conclude
from gateway.store.work.records import KeptNotification


def load_unmatched(connection: Connection, ids: Collection[int]) -> list[KeptNotification]:
    """Lock and read those notifications that no route has matched so far, the oldest first."""
    column = notifications.c
    statement = select(column.id).where(column.id.in_(ids), column.matched.is_(False)).order_by(column.id)
    found = list(connection.execute(statement.with_for_update()).scalars())
    kept = records.load(connection, found)
    return [kept[id_] for id_ in found]


def rematch(connection: Connection, kept: KeptNotification, decided: Keep, by: Actor, *, ids: Ids) -> ActionResult:
    """Keep the deliveries that the routes now make of a notification, or say why there is still none.

    They go to the end of their lanes: their record is fetched now, so they bring what is newest.
    """
    notification = kept.notification
    if not decided.matched:
        text = f"still unmatched: {decided.reason}"
    else:
        _match(connection, kept.id, decided, by)
        add_deliveries(connection, kept.id, replace(decided, mode=Mode.DELAYED), ids=ids)
        if not any(one.required for one in decided.deliveries):
            conclude(connection, [kept.id], ask(connection)[1])
        clear_unmatched(connection, [notification.webservice_id])
        count = len(decided.deliveries)
        text = f"matched: {count} {'delivery' if count == 1 else 'deliveries'}"
    return ActionResult(
        id=kept.id, notification=notification.key, route=None, destination=None, done=decided.matched, text=text
    )


def _match(connection: Connection, id_: int, decided: Keep, by: Actor) -> None:
    column = notifications.c
    starts_reporting = case(
        (column.report_state == ReportState.NONE.value, ReportState.OPEN.value), else_=column.report_state
    )
    connection.execute(
        update(notifications)
        .where(column.id == id_)
        .values(
            matched=True,
            mode=Mode.DELAYED.value,
            mode_reason=f"matched by a replay {by}",
            mode_code=None,
            account=decided.account,
            webservice=decided.webservice,
            form=decided.form,
            project=decided.project,
            fetch_state=(FetchState.DUE if decided.fetch else FetchState.NONE).value,
            report_state=starts_reporting if decided.report else column.report_state,
        )
    )
