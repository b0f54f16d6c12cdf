"""The outcome of a notification: the verdict over its deliveries that count, with the report that follows.

It is set when the last of them has ended. Only an order of a person can change it afterwards; it is then
reported again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, exists, or_, select, update

from gateway.models import DeliveryState, Outcome, ReportState
from gateway.store.engine.bulk_sql import AnyOf, Prepared, gathered, many, rows_of
from gateway.store.engine.locks import lock_notifications
from gateway.store.engine.transaction_time import micros
from gateway.store.tables import deliveries, notifications

ANSWER_MARK = 10.0
"""Seconds after an outcome in which the answer that carries it must be marked as written; else the PUT tells it."""

_counts = (deliveries.c.notification_id == notifications.c.id) & deliveries.c.required
_open = exists(select(deliveries.c.id).where(_counts, deliveries.c.state == DeliveryState.PENDING.value))
_failed = exists(
    select(deliveries.c.id).where(
        _counts, or_(*(deliveries.c.state == state.value for state in (DeliveryState.DEAD, DeliveryState.DROPPED)))
    )
)
_verdict = case((_failed, Outcome.FAILED.value), else_=Outcome.COMPLETED.value)
_changes = notifications.c.outcome.is_not(None)
"""There was an outcome before: a replay has led to another."""


def becomes(verdict: ColumnElement[str]) -> dict[str, Any]:
    """Return what is written of a notification whose outcome is this verdict, at ``moment``, and was another before."""
    return {
        "outcome": verdict,
        "outcome_at": bindparam("moment"),
        # What is just being told is outdated: without its holder that report cannot settle any more.
        "report_holder": case((_changes, None), else_=notifications.c.report_holder),
        "report_attempts": case((_changes, 0), else_=notifications.c.report_attempts),
        "report_spent": case((_changes, 0), else_=notifications.c.report_spent),
        "report_reason": case((_changes, None), else_=notifications.c.report_reason),
        "put_owed": or_(notifications.c.put_owed, _changes),
        "report_state": case(
            (notifications.c.report_state == ReportState.NONE.value, ReportState.NONE.value),
            (_changes, ReportState.OPEN.value),
            else_=notifications.c.report_state,
        ),
        "report_due_at": case(
            (notifications.c.report_state == ReportState.NONE.value, None),
            (_changes, bindparam("moment")),
            (notifications.c.report_state != ReportState.OPEN.value, None),
            # While the request is open its answer comes first; the PUT stands by, should the answer fail.
            (notifications.c.answer_open, bindparam("stand_by")),
            else_=bindparam("moment"),
        ),
    }


_conclude = Prepared(
    update(notifications)
    .where(
        AnyOf(notifications.c.id, "ids"),
        or_(notifications.c.outcome.is_(None), notifications.c.outcome != _verdict),
        ~_open,
    )
    .values(becomes(_verdict))
)
_select_concluded = Prepared(
    gathered(notifications.c.id, notifications.c.outcome, source=notifications).where(
        AnyOf(notifications.c.id, "ids"), notifications.c.outcome_at == bindparam("moment")
    )
)


def conclude(connection: Connection, ids: Collection[int], moment: int) -> dict[int, Outcome]:
    """Set the outcome of those notifications whose last counting delivery has ended; returns what is new."""
    if not ids:
        return {}
    stand_by = moment + micros(ANSWER_MARK)
    wanted = many(connection, sorted(ids))
    lock_notifications(connection, ids)  # of two that settle the last ones at once, the second sees the first one's
    _conclude.run(connection, ids=wanted, moment=moment, stand_by=stand_by)
    concluded = rows_of(_select_concluded.run(connection, ids=wanted, moment=moment))
    return {id_: Outcome(outcome) for id_, outcome in concluded}
