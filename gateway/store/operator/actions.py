"""What the acts of a person share: who, why, and what became of each.

The rules, before the SQL:

- The lanes are locked first; whoever claims, places or settles in one of them waits.
- A delivery that is being sent at this moment (begun, under a lease that runs) is not touched.
- A delivery that is merely held, not begun, is taken back: its holder finds at the beginning that the lease is lost.
- Afterwards each lane that was touched says anew when its head may be claimed.
- The store keeps what was ordered beside the attempts, so that the story of a delivery stays whole.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, case, insert, select, update

from gateway.models import DeliveryState
from gateway.store.engine.bulk_sql import AnyOf, many
from gateway.store.engine.locks import lock_lanes
from gateway.store.engine.transaction_time import NEVER
from gateway.store.tables import attempts, deliveries, lanes

AT_ONCE = 50
"""Deliveries that one transaction of an order touches, so that it does not hold up the receiving."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who gives an order, and why."""

    who: str
    why: str = ""

    def __str__(self) -> str:
        return f"by {self.who}: {self.why}" if self.why else f"by {self.who}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult:
    """What became of an order for one delivery, or for one notification without any."""

    id: int
    """Of the delivery; of the notification where it has none."""
    notification: str
    route: str | None
    destination: str | None
    done: bool
    text: str
    """How it was done, or why it was refused and what to do."""


def lock_their_lanes(connection: Connection, ids: Collection[int]) -> list[int]:
    """Lock the lanes of deliveries until the transaction ends; returns the lanes' ids."""
    found = list(connection.execute(select(deliveries.c.lane_id).where(deliveries.c.id.in_(ids)).distinct()).scalars())
    lock_lanes(connection, found)
    return found


def being_sent(connection: Connection, lane_ids: Collection[int], moment: int) -> dict[int, int]:
    """Return lane id -> id of the delivery that is being sent there at this moment."""
    rows = connection.execute(
        select(lanes.c.id.label("lane_id"), deliveries.c.id.label("delivery_id"))
        .join_from(lanes, deliveries, deliveries.c.lane_id == lanes.c.id)
        .where(
            lanes.c.id.in_(lane_ids),
            lanes.c.holder.is_not(None),
            lanes.c.claimable_at > moment,
            deliveries.c.in_lane,
            deliveries.c.sending_at.is_not(None),
        )
    )
    return {row.lane_id: row.delivery_id for row in rows}


head_due = (
    select(case((deliveries.c.state == DeliveryState.PENDING.value, deliveries.c.due_at), else_=NEVER))
    .where(deliveries.c.lane_id == lanes.c.id, deliveries.c.in_lane)
    .order_by(deliveries.c.number)
    .limit(1)
    .correlate(lanes)
    .scalar_subquery()
)
"""When the head of a lane may be claimed: never, if a dead one blocks it; null, if the lane is empty."""


def open_lanes(connection: Connection, lane_ids: Collection[int]) -> None:
    """Take lanes back from whoever holds them, and say when their heads may be claimed."""
    statement = update(lanes).where(AnyOf(lanes.c.id, "ids")).values(holder=None, claimable_at=head_due)
    connection.execute(statement, {"ids": many(connection, lane_ids)})


def note(connection: Connection, delivery_id: int, *, tries: int, what: str, text: str, moment: int) -> None:
    """Write an order into the history of a delivery."""
    connection.execute(
        insert(attempts).values(delivery_id=delivery_id, number=tries, ended_at=moment, result=what, reason=text)
    )
