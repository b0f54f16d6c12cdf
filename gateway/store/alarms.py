"""Alarms: raised once for a cause, cleared when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.store.clock import ask, from_store
from gateway.store.tables import alarms
from gateway.store.texts import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An alarm as it stands in the store."""

    id: int
    kind: str
    subject: str
    text: str
    raised: datetime
    cleared: datetime | None


def raise_alarm(connection: Connection, kind: str, subject: str, text: str) -> bool:
    """Raise an alarm unless the same kind and subject is raised already; tell whether it is new."""
    statement = (
        insert(alarms)
        .values(kind=kind, subject=subject, text=clean(text), raised_at=ask(connection)[1], cleared_at=None)
        .on_conflict_do_nothing()
    )
    return connection.execute(statement).rowcount == 1


def clear_alarm(connection: Connection, kind: str, subject: str) -> bool:
    """Clear an alarm whose cause has ended; tell whether it was raised."""
    statement = (
        update(alarms)
        .where(alarms.c.kind == kind, alarms.c.subject == subject, alarms.c.cleared_at.is_(None))
        .values(cleared_at=ask(connection)[1])
    )
    return connection.execute(statement).rowcount > 0


def list_alarms(connection: Connection, *, cleared: bool = False) -> list[Alarm]:
    """Return the raised alarms, newest first; with ``cleared`` those that ended too."""
    statement = select(alarms).order_by(alarms.c.raised_at.desc())
    if not cleared:
        statement = statement.where(alarms.c.cleared_at.is_(None))
    found = []
    for row in connection.execute(statement):
        raised = from_store(row.raised_at)
        assert raised is not None
        found.append(
            Alarm(
                id=row.id,
                kind=row.kind,
                subject=row.subject,
                text=row.text,
                raised=raised,
                cleared=from_store(row.cleared_at),
            )
        )
    return found
