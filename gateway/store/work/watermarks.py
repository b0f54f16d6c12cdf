"""How far what doForms received was compared with what was kept: a mark for each web service, and who moves it.

A mark says that each new record which doForms received before it, as far back as was looked, is kept here. It only goes
forward. Whoever moves it holds a lease, so that of several processes one does the work; two would do no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.models import Event
from gateway.store.engine.bulk_sql import Greatest
from gateway.store.engine.transaction_time import ask, micros
from gateway.store.tables import notifications, reconciled

_SLACK = micros(3600.0)
"""How much older than its arrival a notification may call itself, or how much younger: clocks differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a web service is reconciled; in the store's time."""

    webservice_id: str
    until: int | None = None
    round_at: int | None = None
    """When the last round ended."""
    held: bool = False
    """A process is about it now, unless its lease has lapsed."""
    left: bool = False
    """Its lease has lapsed: a process died amid a round."""


def marks(connection: Connection) -> dict[str, Mark]:
    """Return the marks by web service id."""
    column, (_, moment) = reconciled.c, ask(connection)
    return {
        row.webservice_id: Mark(
            webservice_id=row.webservice_id,
            until=row.until,
            round_at=row.round_at,
            held=row.holder is not None,
            left=row.holder is not None and row.lease_until <= moment,
        )
        for row in connection.execute(
            select(column.webservice_id, column.until, column.round_at, column.holder, column.lease_until)
        )
    }


def note_death(connection: Connection, webservice_id: str, wait: Callable[[int], float]) -> int | None:
    """Count the death of a process amid a round; ``wait`` tells the seconds until the next after so many in a row.

    Returns how many there were; None if another process has counted it.
    """
    column, (_, moment) = reconciled.c, ask(connection)
    left = (column.webservice_id == webservice_id, column.holder.is_not(None), column.lease_until <= moment)
    deaths = connection.execute(
        update(reconciled)
        .where(*left)
        .values(holder=None, lease_until=None, deaths=column.deaths + 1)
        .returning(column.deaths)
    ).scalar()
    if deaths is None:
        return None
    not_before = moment + micros(wait(deaths))
    connection.execute(update(reconciled).where(column.webservice_id == webservice_id).values(not_before=not_before))
    return int(deaths)


def take(
    connection: Connection, webservice_id: str, *, token: str, lease: float, before: int | None = None
) -> Mark | None:
    """Take hold of a mark, unless somebody has it, or a round has ended after ``before``; None: it was not taken.

    With ``before`` a wait after the death of a process amid a round is kept, too: without, a person gave the order.
    """
    moment = ask(connection)[1]
    column = reconciled.c
    connection.execute(insert(reconciled).values(webservice_id=webservice_id).on_conflict_do_nothing())
    free = or_(column.holder.is_(None), column.lease_until <= moment)
    due = []
    if before is not None:
        due.append(or_(column.round_at.is_(None), column.round_at <= before))
        due.append(or_(column.not_before.is_(None), column.not_before <= moment))
    row = connection.execute(
        update(reconciled)
        .where(column.webservice_id == webservice_id, free, *due)
        .values(holder=token, lease_until=moment + micros(lease))
        .returning(column.until, column.round_at)
    ).first()
    return None if row is None else Mark(webservice_id=webservice_id, until=row.until, round_at=row.round_at, held=True)


def go_on(connection: Connection, webservice_id: str, *, token: str, lease: float, until: int | None) -> bool:
    """Renew the lease and move the mark forward (None: leave it); tell whether the mark is still held."""
    column = reconciled.c
    moved = column.until if until is None else Greatest(func.coalesce(column.until, until), until)
    held = connection.execute(
        update(reconciled)
        .where(column.webservice_id == webservice_id, column.holder == token)
        .values(until=moved, lease_until=ask(connection)[1] + micros(lease))
    )
    return held.rowcount > 0


def let_go(connection: Connection, webservice_id: str, *, token: str, ended: bool) -> None:
    """Let go of a mark; ``ended`` tells that the round got to its end."""
    column = reconciled.c
    round_at = ask(connection)[1] if ended else column.round_at
    connection.execute(
        update(reconciled)
        .where(column.webservice_id == webservice_id, column.holder == token)
        .values(holder=None, lease_until=None, round_at=round_at, deaths=0, not_before=None)
    )


def void_leases(connection: Connection) -> None:
    """End all leases: their process is dead. The holder stays, and tells that a round was cut short."""
    connection.execute(
        update(reconciled).where(reconciled.c.holder.is_not(None)).values(lease_until=ask(connection)[1])
    )


def said_to_be_created(
    connection: Connection, webservice_id: str, begin: int, end: int, *, most: int, apart: int | None = None
) -> dict[str, int]:
    """Return the submissions that, by their notifications, came to doForms in a window: key -> when.

    ``apart``: only where a notification was made and came here within so long: its time can be relied on then. Left out
    are those that were edited or deleted since: doForms may list them elsewhere, or not at all.
    """
    column, other = notifications.c, notifications.alias("other")
    changed = exists(
        select(other.c.id).where(
            other.c.account == column.account,
            other.c.record_key == column.record_key,
            other.c.event.in_((Event.UPDATE.value, Event.DELETE.value)),
        )
    )
    found = (
        select(column.record_key, func.min(column.created_at))
        .where(
            column.id >= _first_since(connection, begin - _SLACK),
            column.webservice_id == webservice_id,
            column.event == Event.CREATE.value,
            column.submission_key.is_not(None),
            column.created_at >= begin,
            column.created_at < end,
            ~changed,
        )
        .group_by(column.record_key)
        .limit(most)
    )
    if apart is not None:
        found = found.where(column.received_at.between(column.created_at - apart, column.created_at + apart))
    return dict(connection.execute(found).fetchall())


def _first_since(connection: Connection, moment: int) -> int:
    """Return an id below which all notifications came before this moment: ids rise as they come, so halving finds it.

    The time of arrival has no index, for which every notification would have to pay.
    """
    column = notifications.c
    low, high = connection.execute(select(func.min(column.id), func.max(column.id))).one()
    if low is None:
        return 0
    while low < high:
        middle = (low + high) // 2
        following = select(column.id, column.received_at).where(column.id >= middle).order_by(column.id).limit(1)
        id_, received_at = connection.execute(following).one()
        if received_at < moment:
            low = min(id_ + 1, high)
        else:
            high = middle
    return int(low)
