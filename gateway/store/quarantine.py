"""Quarantine: authenticated bodies that are no notification, kept as they came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.store.clock import ask, from_store
from gateway.store.tables import quarantine
from gateway.store.texts import clean

MOST = 10_000
"""Entries that are kept; the oldest give way, so that a sender gone mad cannot fill the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """A body that is to be put into quarantine."""

    path: str
    client: str | None
    reason: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A body in quarantine."""

    id: int
    received: datetime
    path: str
    client: str | None
    reason: str
    body: bytes


def add(connection: Connection, entry: NewEntry) -> int:
    """Put a body into quarantine; returns its number."""
    number: int = connection.execute(
        insert(quarantine)
        .values(
            received_at=ask(connection)[1],
            path=entry.path,
            client=entry.client,
            reason=clean(entry.reason),
            body=entry.body,
        )
        .returning(quarantine.c.id)
    ).scalar_one()
    connection.execute(delete(quarantine).where(quarantine.c.id <= number - MOST))
    return number


def find(connection: Connection, *, number: int | None = None, limit: int = 100) -> list[Entry]:
    """Return one entry, or the newest ones."""
    statement = select(quarantine).order_by(quarantine.c.id.desc()).limit(limit)
    if number is not None:
        statement = statement.where(quarantine.c.id == number)
    return [
        Entry(
            id=row.id,
            received=from_store(row.received_at),
            path=row.path,
            client=row.client,
            reason=row.reason,
            body=row.body,
        )
        for row in connection.execute(statement)
    ]
