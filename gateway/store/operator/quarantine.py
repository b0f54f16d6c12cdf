"""Quarantine: authenticated requests that could not be parsed.

It may never stand in the way of notifications: it is bounded in bytes and number, the oldest give way.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.errors import Misfit
from gateway.models import AlarmKind
from gateway.store.engine.sanitize import clean
from gateway.store.engine.transaction_time import ask, from_store, to_store
from gateway.store.tables import quarantine
from gateway.store.work import alarms

MOST = 10_000
"""Entries that are kept; the oldest give way."""
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of bodies that are kept, over all entries."""
MOST_OF_NO_JSON = 4096
"""Bytes that are kept of a body that is no JSON: enough to see what it is."""
_JSON = frozenset({Misfit.TOO_DEEP, Misfit.TOO_MANY, Misfit.NO_OBJECT, Misfit.IDENTIFIER})
_LONGEST_PATH = 500
_STEP = 50
"""Entries that give way by one statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """A body that is to be put into quarantine."""

    path: str
    client: str | None
    reason: str
    body: bytes
    code: Misfit = Misfit.IDENTIFIER
    coding: str | None = None
    """What ``Content-Encoding`` said."""
    senders: Sequence[str] = ("",)
    """Whose headers it carried: accounts with headers of their own, and "" for everybody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A body in quarantine."""

    id: int
    received: datetime
    path: str
    client: str | None
    reason: str
    code: str
    """A `Misfit`, or ``unknown`` of what was kept by an older gateway."""
    body: bytes
    full_size: int
    """Bytes of the body as it came; more than are kept where it was no JSON."""
    coding: str | None
    senders: tuple[str, ...] | None
    """None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineFilter:
    """Which entries to list or touch; what is left out does not filter."""

    code: Misfit | None = None
    error: str | None = None
    """In the reason; small or capital."""
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = 50


def kept_of(entry: NewEntry) -> int:
    """Return how many bytes of a body are kept: all of JSON, else the beginning."""
    return len(entry.body) if entry.code in _JSON else min(len(entry.body), MOST_OF_NO_JSON)


def add(connection: Connection, entry: NewEntry) -> int:
    """Put a body into quarantine, where the oldest give way to it; returns its number."""
    body = entry.body[: kept_of(entry)]
    number: int = connection.execute(
        insert(quarantine)
        .values(
            received_at=ask(connection)[1],
            path=clean(entry.path)[:_LONGEST_PATH],
            client=entry.client,
            reason=clean(entry.reason),
            body=body,
            code=entry.code.value,
            size=len(body),
            full_size=len(entry.body),
            coding=None if entry.coding is None else clean(entry.coding)[:_LONGEST_PATH],
            senders=json.dumps(list(entry.senders)),
        )
        .returning(quarantine.c.id)
    ).scalar_one()
    connection.execute(delete(quarantine).where(quarantine.c.id <= number - MOST))
    give_way(connection, most=MOST_BYTES)
    return number


def give_way(connection: Connection, *, most: int) -> int:
    """Delete the oldest until so many bytes are left at most; returns how many bytes went."""
    kept, gone = size(connection), 0
    while kept - gone > most:
        statement = select(quarantine.c.id, quarantine.c.size).order_by(quarantine.c.id).limit(_STEP)
        oldest = list(connection.execute(statement))
        ids = []
        while oldest and kept - gone > most:
            row = oldest.pop(0)
            ids.append(row.id)
            gone += row.size
        if not ids:
            break
        connection.execute(delete(quarantine).where(quarantine.c.id.in_(ids)))
    return gone


def size(connection: Connection) -> int:
    """Return how many bytes of bodies are in quarantine."""
    found: int = connection.execute(select(func.coalesce(func.sum(quarantine.c.size), 0))).scalar_one()
    return found


def find(
    connection: Connection,
    *,
    number: int | None = None,
    limit: int | None = 100,
    wanted: QuarantineFilter | None = None,
) -> list[Entry]:
    """Return one entry, or the newest ones that fit."""
    statement = select(quarantine).order_by(quarantine.c.id.desc()).limit(limit)
    if number is not None:
        statement = statement.where(quarantine.c.id == number)
    if wanted is not None:
        statement = statement.where(*_conditions(wanted)).limit(wanted.limit)
    return [_entry(row) for row in connection.execute(statement)]


def find_ids(connection: Connection, wanted: QuarantineFilter) -> list[tuple[int, str, str]]:
    """Return id, code and reason of all that fit, the oldest first, without their bodies."""
    column = quarantine.c
    statement = select(column.id, column.code, column.reason).where(*_conditions(wanted)).order_by(column.id)
    return [(row.id, row.code, row.reason) for row in connection.execute(statement)]


def lock(connection: Connection, number: int) -> Entry | None:
    """Read an entry that is to be taken out, so that nobody else takes it out meanwhile."""
    row = connection.execute(select(quarantine).where(quarantine.c.id == number).with_for_update()).first()
    return None if row is None else _entry(row)


def remove(connection: Connection, numbers: Collection[int]) -> list[int]:
    """Delete entries; returns those that were there. An alarm ends with the last of its reason."""
    statement = delete(quarantine).where(quarantine.c.id.in_(numbers)).returning(quarantine.c.id, quarantine.c.code)
    rows = connection.execute(statement).all()
    for code in sorted({row.code for row in rows}):
        if not holds(connection, code):
            alarms.clear_alarm(connection, AlarmKind.QUARANTINED, code)
    return sorted(row.id for row in rows)


def holds(connection: Connection, code: str) -> bool:
    """Tell whether anything with this reason code is in quarantine."""
    return connection.execute(select(quarantine.c.id).where(quarantine.c.code == code).limit(1)).first() is not None


def _conditions(wanted: QuarantineFilter) -> list[ColumnElement[bool]]:
    column, conditions = quarantine.c, []
    if wanted.code is not None:
        conditions.append(column.code == wanted.code.value)
    if wanted.error is not None:
        conditions.append(column.reason.icontains(wanted.error, autoescape=True))
    if wanted.since is not None:
        conditions.append(column.received_at >= to_store(wanted.since))
    if wanted.until is not None:
        conditions.append(column.received_at < to_store(wanted.until))
    return conditions


def _entry(one: Row[Any]) -> Entry:
    return Entry(
        id=one.id,
        received=from_store(one.received_at),
        path=one.path,
        client=one.client,
        reason=one.reason,
        code=one.code,
        body=one.body,
        full_size=one.full_size,
        coding=one.coding,
        senders=None if one.senders is None else tuple(json.loads(one.senders)),
    )
