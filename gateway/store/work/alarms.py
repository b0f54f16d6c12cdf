"""Alarms: raised once for a cause, cleared when it ends."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.models import AlarmKind
from gateway.store.engine.sanitize import clean
from gateway.store.engine.transaction_time import ask, from_store
from gateway.store.tables import alarms

UNDECLARED = "web services that are not in the routes file"
"""Subject of the alarms that whoever has the secret could raise with ids of its own: they share one, with a count."""
_LONGEST_SUBJECT = 300
"""Characters: the index over subjects takes 2,704 bytes on PostgreSQL, and a question's name can be of any length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An alarm as it stands in the store."""

    id: int
    kind: str
    subject: str
    text: str
    raised: datetime
    times: int
    """How often its cause was met while it was raised."""
    last: datetime
    """When its cause was met last."""
    cleared: datetime | None


def subject_of(text: str) -> str:
    """Return a text as the subject of an alarm: one that is too long is cut and told apart by its hash."""
    if len(text) <= _LONGEST_SUBJECT:
        return clean(text)
    whole = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{clean(text[:_LONGEST_SUBJECT])}… ({whole[:12]})"


def raise_alarm(connection: Connection, kind: AlarmKind, subject: str, text: str, *, times: int = 1) -> bool:
    """Raise an alarm; one that is raised already is counted up and takes the newer text. Tell whether it is new.

    ``times``: so often its cause was met.
    """
    _, moment = ask(connection)
    statement = insert(alarms).values(
        kind=str(kind),
        subject=subject_of(subject),
        text=clean(text),
        raised_at=moment,
        times=times,
        last_at=moment,
        cleared_at=None,
    )
    total: int = connection.execute(
        statement.on_conflict_do_update(
            index_elements=[alarms.c.kind, alarms.c.subject],
            index_where=alarms.c.cleared_at.is_(None),
            set_={
                "text": statement.excluded.text,
                "times": alarms.c.times + times,
                "last_at": statement.excluded.last_at,
            },
        ).returning(alarms.c.times)
    ).scalar_one()
    return total == times


def clear_alarm(connection: Connection, kind: AlarmKind | str, subject: str) -> bool:
    """Clear an alarm whose cause has ended; tell whether it was raised."""
    statement = (
        update(alarms)
        .where(alarms.c.kind == str(kind), alarms.c.subject == subject_of(subject), alarms.c.cleared_at.is_(None))
        .values(cleared_at=ask(connection)[1])
    )
    return connection.execute(statement).rowcount > 0


def clear_by_id(connection: Connection, id_: int) -> bool:
    """Clear an alarm because a person says so; tell whether it was raised."""
    statement = (
        update(alarms).where(alarms.c.id == id_, alarms.c.cleared_at.is_(None)).values(cleared_at=ask(connection)[1])
    )
    return connection.execute(statement).rowcount > 0


def is_raised(connection: Connection, kind: AlarmKind, subject: str) -> bool:
    """Tell whether an alarm is raised."""
    statement = select(alarms.c.id).where(
        alarms.c.kind == str(kind), alarms.c.subject == subject_of(subject), alarms.c.cleared_at.is_(None)
    )
    return connection.execute(statement).first() is not None


def list_alarms(connection: Connection, *, cleared: bool = False) -> list[Alarm]:
    """Return the raised alarms, newest first; with ``cleared`` those that ended too."""
    statement = select(alarms).order_by(alarms.c.raised_at.desc())
    if not cleared:
        statement = statement.where(alarms.c.cleared_at.is_(None))
    return [
        Alarm(
            id=row.id,
            kind=row.kind,
            subject=row.subject,
            text=row.text,
            raised=from_store(row.raised_at),
            times=row.times,
            last=from_store(row.last_at),
            cleared=from_store(row.cleared_at),
        )
        for row in connection.execute(statement)
    ]
