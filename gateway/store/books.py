"""What became of records, by destination: the store's side of the books."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from gateway.models import DeliveryState
from gateway.store.tables import deliveries, notifications

ORDER = (
    DeliveryState.DELIVERED,
    DeliveryState.PENDING,
    DeliveryState.DEAD,
    DeliveryState.DROPPED,
    DeliveryState.SKIPPED,
)
"""A record with several deliveries to a destination counts by the first of these that one of them has."""


def count_records(connection: Connection, account: str, keys: Collection[str]) -> dict[str, dict[str, int]]:
    """Return for each destination how many of these records have which state there."""
    rows = connection.execute(
        select(notifications.c.record_key, deliveries.c.destination, deliveries.c.state)
        .join_from(notifications, deliveries, deliveries.c.notification_id == notifications.c.id)
        .where(notifications.c.account == account, notifications.c.record_key.in_(keys))
        .distinct()
    )
    found: dict[tuple[str, str], set[str]] = {}
    for key, destination, state in rows:
        found.setdefault((destination, key), set()).add(state)
    counts: dict[str, dict[str, int]] = {}
    for (destination, _), states in found.items():
        state = next(one.value for one in ORDER if one.value in states)
        of = counts.setdefault(destination, {})
        of[state] = of.get(state, 0) + 1
    return counts
