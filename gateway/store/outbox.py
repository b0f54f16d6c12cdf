"""The outbox: reports to doForms that are due, claimed for a while and settled."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, case, func, select, update

from gateway.models import Outcome, ReportState
from gateway.store.clock import ask, micros
from gateway.store.locks import lock_notifications
from gateway.store.prepared import Prepared, scalar_of
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
    token: str
    lease_until: float
    """By this process' `time.monotonic`."""


_columns = notifications.c
_due = (
    select(_columns.id)
    .where(
        _columns.report_due_at <= bindparam("moment"),
        _columns.webservice_id.not_in(bindparam("paused", expanding=True)),
    )
    .order_by(_columns.report_due_at)
    .limit(bindparam("most"))
    .with_for_update(key_share=True, skip_locked=True)
    .cte("due")  # in a plain subquery PostgreSQL might run it, and lock, more than once
)
_claim = (
    update(notifications)
    .where(_columns.id.in_(select(_due.c.id)))
    .values(report_due_at=bindparam("until"), report_holder=bindparam("token"), report_state=ReportState.DUE.value)
    .returning(
        _columns.id,
        _columns.webservice_id,
        _columns.notification_key,
        _columns.outcome,
        _columns.report_attempts,
        _columns.report_spent,
    )
)

_settle = Prepared(
    update(notifications)
    .where(
        _columns.id == bindparam("of_id", required=True), _columns.report_holder == bindparam("token", required=True)
    )
    .values(
        report_state=bindparam("state", required=True),
        report_due_at=bindparam("due_at", required=True),
        report_holder=None,
        report_reason=bindparam("reason", required=True),
        report_attempts=_columns.report_attempts + bindparam("counted", required=True),
        report_spent=_columns.report_spent + bindparam("spent", required=True),
        reported_at=func.coalesce(bindparam("reported_at", required=True), _columns.reported_at),
    )
)
_next_due = Prepared(select(func.min(_columns.report_due_at)).where(_columns.report_due_at.is_not(None)))


def claim_reports(
    connection: Connection, *, most: int, token: str, lease: float, paused: Collection[str] = ()
) -> list[Report]:
    """Claim reports that are due; one whose lease is not renewed is due again after ``lease`` seconds."""
    asked_at, moment = ask(connection)
    until = moment + micros(lease)
    parameters = {"moment": moment, "most": most, "until": until, "token": token, "paused": list(paused)}
    return [
        Report(
            notification_id=row.id,
            webservice_id=row.webservice_id,
            notification_key=row.notification_key,
            outcome=Outcome(row.outcome),
            attempts=row.report_attempts,
            spent=row.report_spent,
            token=token,
            lease_until=asked_at + lease,
        )
        for row in connection.execute(_claim, parameters)
    ]


def renew(connection: Connection, held: Mapping[int, str], lease: float) -> dict[int, float]:
    """Renew leases; returns notification id -> new end by `time.monotonic` for those that were still held."""
    asked_at, moment = ask(connection)
    lock_notifications(connection, held)
    standing = select(_columns.id, _columns.report_holder).where(_columns.id.in_(list(held)))
    mine = [row.id for row in connection.execute(standing) if row.report_holder == held[row.id]]
    connection.execute(update(notifications).where(_columns.id.in_(mine)).values(report_due_at=moment + micros(lease)))
    return dict.fromkeys(mine, asked_at + lease)


def release(connection: Connection, held: Iterable[Report]) -> None:
    """Hand claimed reports back; they are due at once."""
    _, moment = ask(connection)
    for report in held:
        connection.execute(
            update(notifications)
            .where(_columns.id == report.notification_id, _columns.report_holder == report.token)
            .values(report_holder=None, report_due_at=moment)
        )


def void_leases(connection: Connection) -> int:
    """Make every report due that a process which is gone held; returns how many. Only for a lone process."""
    return connection.execute(
        update(notifications)
        .where(_columns.report_due_at.is_not(None), _columns.report_holder.is_not(None))
        .values(report_holder=None, report_due_at=ask(connection)[1])
    ).rowcount


def settle_report(
    connection: Connection,
    report: Report,
    *,
    state: ReportState,
    due_at: int | None = None,
    reason: str | None = None,
    spent: int = 0,
    counted: bool = True,
) -> bool:
    """Note how a report ended, or when it is due again; False: the lease was lost, and whoever holds it notes that.

    ``counted=False`` is for one that was put off: it spends no attempt.
    """
    settled = _settle.run(
        connection,
        of_id=report.notification_id,
        token=report.token,
        state=state.value,
        due_at=due_at,
        reason=reason,
        counted=int(counted),
        spent=spent,
        reported_at=ask(connection)[1] if state is ReportState.REPORTED else None,
    )
    return settled.rowcount == 1


def next_report_due(connection: Connection) -> int | None:
    """Return when the next report is due, in the store's time."""
    due: int | None = scalar_of(_next_due.run(connection))
    return due


def forget_open_answers(connection: Connection) -> None:
    """Take back the stand-by of reports whose request died with its process: their PUT is due with the outcome."""
    connection.execute(
        update(notifications)
        .where(_columns.answer_open, _columns.report_state == ReportState.OPEN.value)
        .values(answer_open=False, report_due_at=case((_columns.outcome.is_not(None), ask(connection)[1])))
    )
