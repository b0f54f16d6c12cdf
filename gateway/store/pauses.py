"""Pauses: destinations and web services that wait for a person, or for a time."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.store import alarms
from gateway.store.tables import pauses
from gateway.store.texts import clean


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


def pause(connection: Connection, entry: Pause) -> None:
    """Write a pause; one that is there already keeps its beginning."""
    statement = insert(pauses).values(
        kind=entry.kind,
        name=entry.name,
        cause=entry.cause,
        reason=clean(entry.reason),
        since=entry.since,
        until=entry.until,
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[pauses.c.kind, pauses.c.name],
            set_={
                "cause": statement.excluded.cause,
                "reason": statement.excluded.reason,
                "until": statement.excluded.until,
            },
        )
    )


def resume(connection: Connection, kind: str, name: str) -> bool:
    """End a pause and clear its alarm; tell whether there was one."""
    gone = connection.execute(delete(pauses).where(pauses.c.kind == kind, pauses.c.name == name)).rowcount > 0
    alarms.clear_alarm(connection, f"{kind} paused", name)
    return gone
