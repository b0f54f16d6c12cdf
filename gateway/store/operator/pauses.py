"""Pauses: destinations and web services that wait for a person, or for a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, or_, select
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.models import AlarmKind, ReasonCode
from gateway.store.engine.sanitize import clean
from gateway.store.operator import alarm_conditions
from gateway.store.tables import pauses
from gateway.store.work import alarms

ORDERED = "ordered"
"""The cause of a pause that a person ordered: only a person ends it, whatever a process finds meanwhile."""

PAUSED: Mapping[str, AlarmKind] = {
    "destination": AlarmKind.DESTINATION_PAUSED,
    "webservice": AlarmKind.WEBSERVICE_PAUSED,
}
"""By kind of pause, its alarm."""
OPENING = "opening"
DOWN = "down"
"""Kinds and causes of what is no pause: a destination that is not open yet, or down, as a process notes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Something that waits; times are the store's."""

    kind: str
    name: str
    cause: str
    reason: str
    since: int
    until: int | None = None


def list_pauses(connection: Connection) -> list[Pause]:
    """Return all pauses."""
    rows = connection.execute(select(pauses).order_by(pauses.c.kind, pauses.c.name))
    return [
        Pause(kind=row.kind, name=row.name, cause=row.cause, reason=row.reason, since=row.since, until=row.until)
        for row in rows
    ]


def pause(connection: Connection, entry: Pause) -> bool:
    """Write a pause, unless a person has ordered one; one that is there already keeps its beginning.

    Returns whether it was written.
    """
    statement = insert(pauses).values(
        kind=entry.kind,
        name=entry.name,
        cause=entry.cause,
        reason=clean(entry.reason),
        since=entry.since,
        until=entry.until,
    )
    written = connection.execute(
        statement.on_conflict_do_update(
            index_elements=[pauses.c.kind, pauses.c.name],
            set_={
                "cause": statement.excluded.cause,
                "reason": statement.excluded.reason,
                "until": statement.excluded.until,
            },
            where=or_(pauses.c.cause != ORDERED, statement.excluded.cause == ORDERED),
        ).returning(pauses.c.name)
    )
    return written.first() is not None


def forget(connection: Connection, kind: str, name: str | None = None) -> None:
    """Forget what a process noted of a destination, or of any: that it is not open yet, or down."""
    statement = delete(pauses).where(pauses.c.kind == kind)
    connection.execute(statement if name is None else statement.where(pauses.c.name == name))


def resume(connection: Connection, kind: str, name: str, *, ordered: bool = True) -> bool:
    """End a pause and clear its alarm, and let what waited for it go on; tell whether there was one.

    With ``ordered`` false one that a person ordered stays.
    """
    statement = delete(pauses).where(pauses.c.kind == kind, pauses.c.name == name)
    gone = connection.execute(statement if ordered else statement.where(pauses.c.cause != ORDERED)).rowcount > 0
    alarms.clear_alarm(connection, PAUSED[kind], name)
    if gone and kind == "webservice":
        alarm_conditions.make_due(connection, ReasonCode.WEBSERVICE_WAITS, subject=name)
    return gone
