"""What became of records, by destination: the store's side of the books."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection, func, select

from gateway.models import DeliveryState
from gateway.store.operator.alarm_conditions import UNDECIDED
from gateway.store.tables import deliveries, notifications

ORDER = (
    DeliveryState.DELIVERED,
    DeliveryState.PENDING,
    DeliveryState.DEAD,
    DeliveryState.DROPPED,
    DeliveryState.SKIPPED,
)
"""Of a record's deliveries on one way, that of a route's delivery, the first of these that one of them has counts."""
_OVER_WAYS = (
    DeliveryState.PENDING,
    DeliveryState.DEAD,
    DeliveryState.DELIVERED,
    DeliveryState.DROPPED,
    DeliveryState.SKIPPED,
)
"""Of its ways to one destination: it is not there as long as one of them is open."""


def count_records(connection: Connection, account: str, keys: Collection[str]) -> dict[str, dict[str, int]]:
    """Return for each destination how many of these records have which state there."""
    rows = connection.execute(
        select(
            notifications.c.record_key,
            deliveries.c.destination,
            deliveries.c.route,
            deliveries.c.name,
            deliveries.c.state,
        )
        .join_from(notifications, deliveries, deliveries.c.notification_id == notifications.c.id)
        .where(notifications.c.account == account, notifications.c.record_key.in_(keys))
        .distinct()
    )
    found: dict[tuple[str, str], dict[tuple[str, str], set[str]]] = {}
    for key, destination, route, name, state in rows:
        found.setdefault((destination, key), {}).setdefault((route, name), set()).add(state)
    counts: dict[str, dict[str, int]] = {}
    for (destination, _), ways in found.items():
        state = _first(_OVER_WAYS, (_first(ORDER, states) for states in ways.values()))
        of = counts.setdefault(destination, {})
        of[state] = of.get(state, 0) + 1
    return counts


def _first(order: Sequence[DeliveryState], states: Iterable[str]) -> str:
    there = set(states)
    return next(one.value for one in order if one.value in there)


def count_unmatched(connection: Connection, account: str, keys: Collection[str]) -> int:
    """Count those of these records of which no route has taken any notification, and nobody decided that none shall."""
    column = notifications.c
    found = (
        select(column.record_key, func.count().label("all"), func.count().filter(UNDECIDED).label("open"))
        .where(column.account == account, column.record_key.in_(keys))
        .group_by(column.record_key)
        .subquery()
    )
    return connection.execute(select(func.count()).where(found.c.all == found.c.open)).scalar_one()
