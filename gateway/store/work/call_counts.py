"""How many calls to doForms were made, by day (UTC), web service and kind; several processes add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.store.engine.transaction_time import SECOND, micros
from gateway.store.tables import call_counts

KEPT = 35 * 86400.0
"""Seconds for which counts are kept."""
_DAY = 86400 * SECOND

Of = tuple[int, str, str]
"""The day (its beginning, UTC), the web service's id and the kind of call."""


@dataclass(slots=True, kw_only=True)
class Counts:
    """Calls, and those of them that did not give what was asked for."""

    calls: int = 0
    too_many: int = 0
    """Answered 429."""
    over_quota: int = 0
    """Answered that the calls of the day are used up."""
    failed: int = 0
    """In any other way, down to no answer at all."""


def day_of(moment: int) -> int:
    """Return the beginning of the UTC day of a moment."""
    return moment - moment % _DAY


def add(connection: Connection, counted: Mapping[Of, Counts]) -> None:
    """Add to what was counted."""
    column = call_counts.c
    for (day, webservice_id, kind), more in sorted(counted.items(), key=lambda item: item[0]):  # locks in one order
        values = {name: getattr(more, name) for name in ("calls", "too_many", "over_quota", "failed")}
        row = insert(call_counts).values(day=day, webservice_id=webservice_id, kind=kind, **values)
        connection.execute(
            row.on_conflict_do_update(
                index_elements=[column.day, column.webservice_id, column.kind],
                set_={name: column[name] + row.excluded[name] for name in values},
            )
        )


def of_day(connection: Connection, moment: int) -> dict[str, dict[str, Counts]]:
    """Return web service id -> kind -> what was counted on the day of a moment."""
    found: dict[str, dict[str, Counts]] = {}
    column = call_counts.c
    rows = connection.execute(
        select(call_counts).where(column.day == day_of(moment)).order_by(column.webservice_id, column.kind)
    )
    for row in rows:
        found.setdefault(row.webservice_id, {})[row.kind] = Counts(
            calls=row.calls, too_many=row.too_many, over_quota=row.over_quota, failed=row.failed
        )
    return found


def prune(connection: Connection, moment: int) -> None:
    """Delete what was counted weeks ago."""
    connection.execute(delete(call_counts).where(call_counts.c.day < moment - micros(KEPT)))
