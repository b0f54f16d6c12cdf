"""The outbox: reports to doForms that are due, claimed for a while and settled."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select, update

from gateway.models import Outcome, ReportState
from gateway.store.clock import micros, now
from gateway.store.tables import notifications


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An outcome that doForms is to be told."""

    notification_id: int
    webservice_id: str
    notification_key: str
    outcome: Outcome
    attempts: int
    spent: int


_columns = notifications.c
_claim = (
    update(notifications)
    .where(
        _columns.id.in_(
            select(_columns.id)
            .where(
                _columns.report_due_at <= bindparam("moment"),
                _columns.webservice_id.not_in(bindparam("paused", expanding=True)),
            )
            .order_by(_columns.report_due_at)
            .limit(bindparam("most"))
        )
    )
    .values(report_due_at=bindparam("until"), report_state=ReportState.DUE.value)
    .returning(
        _columns.id,
        _columns.webservice_id,
        _columns.notification_key,
        _columns.outcome,
        _columns.report_attempts,
        _columns.report_spent,
    )
)


def claim_reports(connection: Connection, *, most: int, lease: float, paused: Collection[str] = ()) -> list[Report]:
    """Claim reports that are due; after ``lease`` seconds an unsettled one is due again."""
    moment = now()
    parameters = {"moment": moment, "most": most, "until": moment + micros(lease), "paused": list(paused)}
    return [
        Report(
            notification_id=row.id,
            webservice_id=row.webservice_id,
            notification_key=row.notification_key,
            outcome=Outcome(row.outcome),
            attempts=row.report_attempts,
            spent=row.report_spent,
        )
        for row in connection.execute(_claim, parameters)
    ]


def settle_report(
    connection: Connection,
    notification_id: int,
    *,
    state: ReportState,
    due_at: int | None = None,
    reason: str | None = None,
    spent: int = 0,
) -> None:
    """Note how a report ended, or when it is due again."""
    connection.execute(
        update(notifications)
        .where(_columns.id == notification_id)
        .values(
            report_state=state.value,
            report_due_at=due_at,
            report_reason=reason,
            report_attempts=_columns.report_attempts + 1,
            report_spent=_columns.report_spent + spent,
            reported_at=now() if state is ReportState.REPORTED else _columns.reported_at,
        )
    )


def next_report_due(connection: Connection) -> int | None:
    """Return when the next report is due, in the store's time."""
    due: int | None = connection.execute(
        select(func.min(_columns.report_due_at)).where(_columns.report_due_at.is_not(None))
    ).scalar()
    return due


def forget_open_answers(connection: Connection) -> None:
    """Take back the stand-by of reports whose request died with its process: their PUT is due with the outcome."""
    connection.execute(
        update(notifications)
        .where(_columns.answer_open, _columns.report_state == ReportState.OPEN.value)
        .values(answer_open=False)
    )
