"""The outbox: reports to doForms that are due, claimed for a while and settled."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Integer, bindparam, case, false, func, literal_column, select, update

from gateway.models import Outcome, ReportState
from gateway.store.engine.bulk_sql import AnyOf, Prepared, many, scalar_of
from gateway.store.engine.locks import lock_notifications
from gateway.store.engine.transaction_time import ask, micros
from gateway.store.tables import notifications
from gateway.store.work.queue import SUSPECT, TURN


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
    deaths: int = 0
    """Processes that died in a row while they held it, as far as that has been counted."""
    alone: bool = False
    """It is told apart from other suspects; with ``left``: it was, when that process died."""
    left: bool = False
    """The claim before was never given back: its process died, and that has not been counted yet."""


_columns = notifications.c
_due = (
    select(
        _columns.id,
        _columns.webservice_id,
        _columns.notification_key,
        _columns.outcome,
        _columns.report_attempts,
        _columns.report_spent,
        _columns.report_holder,
        _columns.report_deaths,
        _columns.report_alone,
    )
    .where(
        _columns.report_due_at <= bindparam("moment"),
        _columns.webservice_id.not_in(bindparam("paused", expanding=True)),
    )
    .order_by(_columns.report_due_at)
    .limit(bindparam("most"))
    .with_for_update(key_share=True, skip_locked=True)
)
_claim = Prepared(
    update(notifications)
    .where(AnyOf(_columns.id, "ids"))
    .values(report_due_at=bindparam("until"), report_holder=bindparam("token"), report_state=ReportState.DUE.value)
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
        report_deaths=case(
            (bindparam("cut_short", type_=Integer, required=True) == literal_column("1"), _columns.report_deaths + 1),
            (bindparam("put_off", type_=Integer, required=True) == literal_column("1"), _columns.report_deaths),
            else_=literal_column("0"),
        ),
        report_alone=false(),
        reported_at=func.coalesce(bindparam("reported_at", required=True), _columns.reported_at),
    )
)
_next_due = Prepared(select(func.min(_columns.report_due_at)).where(_columns.report_due_at.is_not(None)))


def claim_reports(
    connection: Connection,
    *,
    most: int,
    token: str,
    lease: float,
    paused: Collection[str] = (),
    alone: bool = True,
) -> list[Report]:
    """Claim reports that are due; one whose lease is not renewed is due again after ``lease`` seconds.

    Of those that are suspect one at most is among them, marked, and none without ``alone``.
    """
    asked_at, moment = ask(connection)
    claimed: list[Report] = []
    put_off: list[int] = []
    free = alone
    for row in connection.execute(_due, {"moment": moment, "most": most, "paused": list(paused)}):
        left = row.report_holder is not None
        goes_alone = not left and row.report_deaths >= SUSPECT
        if goes_alone and not free:
            put_off.append(row.id)
            continue
        free = free and not goes_alone
        claimed.append(
            Report(
                notification_id=row.id,
                webservice_id=row.webservice_id,
                notification_key=row.notification_key,
                outcome=Outcome(row.outcome),
                attempts=row.report_attempts,
                spent=row.report_spent,
                token=token,
                lease_until=asked_at + lease,
                deaths=row.report_deaths,
                alone=goes_alone or row.report_alone,
                left=left,
            )
        )
    if claimed:
        ids = many(connection, [report.notification_id for report in claimed])
        _claim.run(connection, ids=ids, until=moment + micros(lease), token=token)
    _set_apart(connection, [one for one in claimed if one.alone and not one.left], put_off, moment)
    return claimed


def _set_apart(connection: Connection, alone: Sequence[Report], put_off: Sequence[int], moment: int) -> None:
    """Mark the suspect that is told now, and put off the others one after the other."""
    for report in alone:
        connection.execute(update(notifications).where(_columns.id == report.notification_id).values(report_alone=True))
    for turn, id_ in enumerate(put_off, 1):
        connection.execute(update(notifications).where(_columns.id == id_).values(report_due_at=moment + turn * TURN))


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
    """Make every report due that a process which is gone held; returns how many. Only for a lone process.

    The holder stays, as with a lease that lapsed: it tells that the report was never given back.
    """
    return connection.execute(
        update(notifications)
        .where(_columns.report_due_at.is_not(None), _columns.report_holder.is_not(None))
        .values(report_due_at=ask(connection)[1])
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
    cut_short: bool = False,
) -> bool:
    """Note how a report ended, or when it is due again; False: the lease was lost, and whoever holds it notes that.

    ``counted=False`` is for one that was put off: it spends no attempt. ``cut_short``: a process died while it held it.
    """
    settled = _settle.run(
        connection,
        of_id=report.notification_id,
        token=report.token,
        state=state.value,
        due_at=due_at,
        reason=reason,
        counted=int(counted),
        cut_short=int(cut_short),
        put_off=int(not counted),
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
