"""Leaps of the store's clock: noticed, and what waits by it put right. The rules, before the SQL:

- One row tells what the clock showed last and how many leaps were put right; it is locked while one is. So of several
  processes that notice a leap one puts it right, once.
- A clock that went back: what waits until a time would wait as much longer. Each such time is taken back by the leap,
  but not behind now. A lease ends one lease's length from now at the latest.
- A clock that went forward: what waits is due early, which harms nothing. A lease that lapsed by it gets its length
  anew, since its holder may be at work.
- A start cannot know how long nothing ran. A clock behind the row has gone back. One that is a day ahead of it has
  leapt, or nothing ran for a day: nothing is put right then, but for a while nothing is deleted (`unsteady_for`).
- Whatever leapt unseen: no wait that retries made is longer than its longest (`Longest`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, literal, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.models import DeliveryState, FetchState
from gateway.store.engine.bulk_sql import Greatest
from gateway.store.engine.transaction_time import LEAST, NEVER, SECOND, ask, micros
from gateway.store.tables import (
    alarms,
    attachments,
    attempts,
    call_slots,
    clock,
    deliveries,
    lanes,
    notifications,
    pauses,
    rates,
    reconciled,
)

STEADY = 3600.0
"""Seconds without a leap after which the clock is believed again."""
RESTED = 86400.0
"""Seconds after which a start doubts that it was the gateway that rested, and not the clock that leapt."""
_DAY = 86400 * SECOND
_ROW = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Longest:
    """The longest waits that retries make, in seconds, by the routes in force."""

    delivery: Mapping[str, float] = field(default_factory=dict)
    """By destination."""
    fetch: float = 0.0
    attachment: float = 0.0
    report: float = 0.0
    put_off: float = 0.0
    """What is put off without a try waits no longer than this."""
    lease: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What was found when the clock was looked at."""

    leaps: int
    """So many were put right up to now; whoever looks next says that it knows of them."""
    moment: int
    """The store's time."""
    by: float = 0.0
    """Seconds by which it has leapt since it was looked at last; negative: back."""
    rested: float = 0.0
    """Seconds between what it showed last and a start, if that is long enough to be doubted."""
    shortened: int = 0
    """Waits that no leap explains and that were longer than they can be."""


def note(connection: Connection, longest: Longest, *, by: int | None, knows: int | None) -> Noted:
    """Note what the clock shows, and put right what a leap has done.

    ``by``: the leap that this process has seen since it knew of so many leaps, in microseconds; None: it starts.
    """
    _, moment = ask(connection)
    row = _row(connection, moment)
    starts = by is None
    leap = by if by and row.leaps == knows else 0
    if not leap and moment < row.seen_at - micros(LEAST):
        leap = moment - row.seen_at
    rested = moment - row.seen_at if starts and not leap and moment - row.seen_at > micros(RESTED) else 0
    if leap < 0:
        _went_back(connection, moment, leap, micros(longest.lease))
    elif leap > 0:
        _went_forward(connection, moment, moment - leap, micros(longest.lease))
    shortened = shorten(connection, longest, moment, strictly=leap < 0) if starts or leap else 0
    doubted = bool(leap or rested)
    connection.execute(
        update(clock).values(
            seen_at=moment, leaps=clock.c.leaps + int(bool(leap)), leapt_at=moment if doubted else clock.c.leapt_at
        )
    )
    return Noted(
        leaps=row.leaps + int(bool(leap)),
        moment=moment,
        by=leap / SECOND,
        rested=rested / SECOND,
        shortened=shortened,
    )


def unsteady_for(connection: Connection) -> float:
    """Return the seconds for which the clock is not believed yet; 0: it is."""
    _, moment = ask(connection)
    leapt_at: int | None = connection.execute(select(clock.c.leapt_at)).scalar()
    return 0.0 if leapt_at is None else max(0.0, (min(leapt_at, moment) + micros(STEADY) - moment) / SECOND)


def doubted_at(connection: Connection, moment: int) -> float:
    """Return the seconds by which a moment is too far ahead of what the clock showed last; 0: it is near.

    For a command beside a gateway, or without one.
    """
    seen_at: int | None = connection.execute(select(clock.c.seen_at)).scalar()
    if seen_at is None:
        return 0.0
    apart = (moment - seen_at) / SECOND
    return apart if apart > RESTED else 0.0


def _row(connection: Connection, moment: int) -> Any:
    """Lock the row; in a store that has none yet its newest rows tell what the clock showed."""
    found = select(clock.c.seen_at, clock.c.leaps).with_for_update()
    row = connection.execute(found).first()
    if row is None:
        made = insert(clock).values(id=_ROW, seen_at=_newest(connection, moment), leaps=0, leapt_at=None)
        connection.execute(made.on_conflict_do_nothing())
        row = connection.execute(found).one()
    return row


def _newest(connection: Connection, moment: int) -> int:
    times = [
        connection.execute(select(column).order_by(id_.desc()).limit(1)).scalar()
        for id_, column in (
            (notifications.c.id, notifications.c.received_at),
            (attempts.c.id, attempts.c.ended_at),
            (alarms.c.id, alarms.c.last_at),
        )
    ]
    return max((time for time in times if time is not None), default=moment)


def _went_back(connection: Connection, moment: int, by: int, lease: int) -> None:
    """Take back by the leap what waits until a time."""

    def take_back(table: Table, name: str, *which: ColumnElement[bool]) -> None:
        column = table.c[name]
        waits = and_(column > moment, column < NEVER, *which)
        connection.execute(update(table).where(waits).values({name: Greatest(column + by, literal(moment))}))

    def no_longer(table: Table, name: str, *which: ColumnElement[bool]) -> None:
        column = table.c[name]
        connection.execute(update(table).where(column > moment + lease, *which).values({name: moment + lease}))

    row = notifications.c
    no_longer(lanes, "claimable_at", lanes.c.holder.is_not(None))
    no_longer(notifications, "report_due_at", row.report_holder.is_not(None))
    no_longer(notifications, "fetch_due_at", row.fetch_state == FetchState.DUE.value, row.fetch_holder.is_not(None))
    no_longer(call_slots, "until")
    no_longer(reconciled, "lease_until")
    take_back(lanes, "claimable_at", lanes.c.holder.is_(None))
    take_back(deliveries, "due_at", deliveries.c.in_lane, deliveries.c.state == DeliveryState.PENDING.value)
    take_back(notifications, "report_due_at", row.report_holder.is_(None))
    take_back(notifications, "fetch_due_at", row.fetch_state == FetchState.DUE.value, row.fetch_holder.is_(None))
    take_back(attachments, "due_at")
    take_back(pauses, "until", pauses.c.cause != _QUOTA)
    take_back(rates, "used_until")
    midnight = moment - moment % _DAY + _DAY
    connection.execute(update(pauses).where(pauses.c.cause == _QUOTA, pauses.c.until > midnight).values(until=midnight))
    connection.execute(update(pauses).where(pauses.c.since > moment).values(since=moment))
    connection.execute(update(reconciled).where(reconciled.c.round_at > moment).values(round_at=moment))
    # What was compared up to a time that is still to come was compared up to a time that nobody knows.
    connection.execute(update(reconciled).where(reconciled.c.until > moment).values(until=None))
    for name in ("raised_at", "last_at"):
        column = alarms.c[name]
        connection.execute(update(alarms).where(column > moment).values({name: moment}))


_QUOTA = "quota"


def _went_forward(connection: Connection, moment: int, before: int, lease: int) -> None:
    """Give the leases that lapsed by the leap their length anew."""
    row = notifications.c

    def anew(table: Table, name: str, *which: ColumnElement[bool]) -> None:
        column = table.c[name]
        lapsed = and_(column > before, column <= moment, *which)
        connection.execute(update(table).where(lapsed).values({name: moment + lease}))

    anew(lanes, "claimable_at", lanes.c.holder.is_not(None))
    anew(notifications, "report_due_at", row.report_holder.is_not(None))
    anew(notifications, "fetch_due_at", row.fetch_state == FetchState.DUE.value, row.fetch_holder.is_not(None))
    anew(call_slots, "until")
    anew(reconciled, "lease_until", reconciled.c.holder.is_not(None))


def shorten(connection: Connection, longest: Longest, moment: int, *, strictly: bool) -> int:
    """Let nothing wait longer than retries make it wait; returns for how many that was so.

    ``strictly``: after a leap; else what was put off may stand in a long line, and keeps its place there.
    """

    def bound(seconds: float) -> int:
        return moment + micros(seconds if strictly else max(seconds, longest.put_off))

    def cut(table: Table, name: str, seconds: float, *which: ColumnElement[bool]) -> int:
        column, at = table.c[name], moment + micros(seconds)
        waits = and_(column > bound(seconds), column < NEVER, *which)
        return connection.execute(update(table).where(waits).values({name: at})).rowcount

    row = notifications.c
    count = 0
    for destination, most in longest.delivery.items():
        pending = and_(deliveries.c.in_lane, deliveries.c.state == DeliveryState.PENDING.value)
        seconds = max(most, longest.fetch, longest.attachment)
        cut(deliveries, "due_at", seconds, pending, deliveries.c.destination == destination)
        count += cut(lanes, "claimable_at", seconds, lanes.c.holder.is_(None), lanes.c.destination == destination)
    count += cut(notifications, "report_due_at", longest.report, row.report_holder.is_(None))
    due = and_(row.fetch_state == FetchState.DUE.value, row.fetch_holder.is_(None))
    count += cut(notifications, "fetch_due_at", longest.fetch, due)
    return count + cut(attachments, "due_at", longest.attachment)
