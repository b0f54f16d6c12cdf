"""Lanes: which deliveries stay in order, and the leases under which this process holds some of them."""

from __future__ import annotations

import asyncio
import hashlib

import structlog

from gateway.models import Notification, Order
from gateway.store import queue
from gateway.store.clock import now
from gateway.store.queue import Due
from gateway.store.store import Store

log = structlog.get_logger(__name__)

_SEPARATOR = "\x1f"
_MARGIN = 50_000
"""Microseconds of a lease that must be left to send anything."""


def delivery_key(notification: Notification, route: str, name: str, generation: int = 0) -> str:
    """Return the idempotency key of a delivery: the same whenever it is computed, even after the store was restored.

    A replay that renders anew counts the generation up.
    """
    parts = (notification.webservice_id, notification.key, route, name, str(generation))
    return hashlib.sha256(_SEPARATOR.join(parts).encode()).hexdigest()[:32]


def lane_key(notification: Notification, *, destination: str, account: str, order: Order, delivery: str) -> str:
    """Return the name of the lane that a delivery belongs to; ``delivery`` is its delivery key.

    The same destination, account and record share one. Without a record, and with ``order = "none"``, a delivery has a
    lane of its own.
    """
    record = notification.record_key
    if order is Order.NONE or record is None:
        return _SEPARATOR.join((destination, account, "", delivery))
    return _SEPARATOR.join((destination, account, record))


class Leases:
    """The lanes that this process holds, renewed while it works on them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[int, tuple[str, int]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, due: Due) -> None:
        """Note a lane that was claimed."""
        self._held[due.lane_id] = (due.token, due.lease_until)

    def forget(self, due: Due) -> None:
        """Note that a lane was settled or handed back."""
        if self._held.get(due.lane_id, ("", 0))[0] == due.token:
            del self._held[due.lane_id]

    def valid(self, due: Due) -> bool:
        """Tell whether the lease on a delivery's lane still runs: to be asked directly before each send."""
        token, until = self._held.get(due.lane_id, ("", 0))
        return token == due.token and now() < until - _MARGIN

    async def keep_renewed(self) -> None:
        """Renew all leases three times within their length, until cancelled."""
        while True:
            await asyncio.sleep(self._store.lease / 3)
            held = {lane: token for lane, (token, _) in self._held.items()}
            if not held:
                continue
            try:
                renewed = await self._store.write(lambda c: queue.renew(c, held, lease=self._store.lease))  # noqa: B023
            except Exception as error:
                log.warning("leases could not be renewed", lanes=len(held), error=str(error))
                continue
            for lane, token in held.items():
                if self._held.get(lane, ("", 0))[0] != token:
                    continue
                if lane in renewed:
                    self._held[lane] = (token, renewed[lane])
                else:
                    del self._held[lane]
                    log.warning("a lease was lost: its delivery is due again", lane=lane)
