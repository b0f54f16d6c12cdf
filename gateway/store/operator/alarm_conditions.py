"""The causes of alarms in the store: whether they still need a person."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, TextClause, and_, exists, func, select, true, update

from gateway.models import AlarmKind, DeliveryState, Outcome, ReasonCode
from gateway.store.engine.transaction_time import ask
from gateway.store.operator import quarantine
from gateway.store.tables import DEADLY, NOT_FETCHED, NOT_REPORTED, deliveries, lanes, notifications, pauses
from gateway.store.work.alarms import UNDECLARED
from gateway.store.work.attachments import not_downloaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Deliveries that wait, all with the same way through the routes file."""

    route: str
    name: str
    destination: str
    deliveries: int


UNDECIDED = ~notifications.c.matched & (
    notifications.c.outcome.is_distinct_from(Outcome.COMPLETED.value)
    & notifications.c.mode_code.is_distinct_from(ReasonCode.DROPPED.value)
)
"""No route matched a notification, and nobody decided that none shall, by ``unmatched = "complete"`` or a drop."""


def unmatched(connection: Connection, webservice_id: str) -> bool:
    """Tell whether notifications that no route matched wait for a person; `UNDECLARED` stands for many ids."""
    if webservice_id == UNDECLARED:
        strangers = select(notifications.c.id).where(UNDECIDED, notifications.c.webservice.is_(None)).limit(1)
        return connection.execute(strangers).first() is not None
    return _any_notification(connection, webservice_id, UNDECIDED)


def not_fetched(connection: Connection, webservice_id: str) -> bool:
    """Tell whether deliveries of a web service are dead because their record could not be fetched."""
    dead = exists(
        select(deliveries.c.id).where(
            deliveries.c.notification_id == notifications.c.id, deliveries.c.state == DeliveryState.DEAD.value
        )
    )
    return _any_notification(connection, webservice_id, NOT_FETCHED, dead)


def not_reported(connection: Connection, webservice_id: str) -> bool:
    """Tell whether doForms was not told an outcome of a web service, and will not be."""
    return _any_notification(connection, webservice_id, NOT_REPORTED)


def _any_notification(connection: Connection, webservice_id: str, *which: ColumnElement[bool] | TextClause) -> bool:
    found = select(notifications.c.id).where(notifications.c.webservice_id == webservice_id, *which).limit(1)
    return connection.execute(found).first() is not None


def deadly(connection: Connection, destination: str) -> bool:
    """Tell whether a delivery to a destination is still tried though its process died of it alone, as it seems."""
    found = select(deliveries.c.id).where(
        deliveries.c.destination == destination, DEADLY, deliveries.c.state == DeliveryState.PENDING.value
    )
    return connection.execute(found.limit(1)).first() is not None


def paused(kind: str) -> Callable[[Connection, str], bool]:
    """Return the function that tells whether something of this kind is paused."""

    def is_paused(connection: Connection, name: str) -> bool:
        found = select(pauses.c.name).where(pauses.c.kind == kind, pauses.c.name == name)
        return connection.execute(found).first() is not None

    return is_paused


DOFORMS_WAITS = (ReasonCode.WEBSERVICE_WAITS, ReasonCode.ACCOUNT_WAITS)
"""Why deliveries wait until doForms can be called for them."""


STANDS: Mapping[str, Callable[[Connection, str], bool]] = {
    AlarmKind.UNMATCHED: unmatched,
    AlarmKind.RECORD_NOT_FETCHED: not_fetched,
    AlarmKind.ATTACHMENT_MISSING: not_downloaded,
    AlarmKind.OUTCOME_NOT_REPORTED: not_reported,
    AlarmKind.PROCESS_DIED: deadly,
    AlarmKind.DESTINATION_PAUSED: paused("destination"),
    AlarmKind.WEBSERVICE_PAUSED: paused("webservice"),
    AlarmKind.QUARANTINED: quarantine.holds,
    AlarmKind.DESTINATION_NOT_OPEN: paused("opening"),
}
"""By kind of alarm: whether its cause still stands, given its subject."""


def waiting_destinations(connection: Connection) -> set[str]:
    """Return the destinations for which anything waits: one step through an index for each of them."""
    found: set[str] = set()
    name = ""
    while True:
        step = select(func.min(lanes.c.destination)).where(
            lanes.c.claimable_at.is_not(None), lanes.c.destination > name
        )
        following: str | None = connection.execute(step).scalar()
        if following is None:
            return found
        found.add(following)
        name = following


def waiting_deliveries(connection: Connection) -> list[Waiting]:
    """Return what waits by its way through the routes file; goes through all that waits."""
    way = (deliveries.c.route, deliveries.c.name, deliveries.c.destination)
    rows = connection.execute(
        select(*way, func.count().label("deliveries"))
        .where(deliveries.c.in_lane, deliveries.c.state == DeliveryState.PENDING.value)
        .group_by(*way)
    )
    return [
        Waiting(route=row.route, name=row.name, destination=row.destination, deliveries=row.deliveries) for row in rows
    ]


def waits_because(connection: Connection, *codes: ReasonCode) -> bool:
    """Tell whether anything waits for one of these reasons; goes through all that waits."""
    late = _late(codes, None, ask(connection)[1])
    return connection.execute(select(deliveries.c.id).where(late).limit(1)).first() is not None


def make_due(connection: Connection, *codes: ReasonCode, subject: str | None = None) -> None:
    """Make deliveries due now that wait for one of these reasons; with ``subject``, for that one alone."""
    _, moment = ask(connection)
    late = _late(codes, subject, moment)
    in_lanes = select(deliveries.c.lane_id).where(late).scalar_subquery()
    connection.execute(
        update(lanes)
        .where(lanes.c.id.in_(in_lanes), lanes.c.holder.is_(None), lanes.c.claimable_at > moment)
        .values(claimable_at=moment)
    )
    connection.execute(update(deliveries).where(late).values(due_at=moment))


def _late(codes: Collection[ReasonCode], subject: str | None, moment: int) -> ColumnElement[bool]:
    about = true() if subject is None else deliveries.c.reason_subject == subject
    return and_(
        deliveries.c.in_lane,
        deliveries.c.state == DeliveryState.PENDING.value,
        deliveries.c.due_at > moment,
        deliveries.c.reason_code.in_([code.value for code in codes]),
        about,
    )
