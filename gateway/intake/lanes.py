"""Lanes: which deliveries stay in order, and the key that a delivery has for ever."""

from __future__ import annotations

import hashlib

from gateway.models import Notification, Order

_SEPARATOR = "\x1f"


def delivery_key(notification: Notification, route: str, name: str) -> str:
    """Return the idempotency key of a delivery: the same whenever it is computed, even after the store was restored.

    A replay that renders anew goes on to the next (`gateway.store.operator.replay.next_key`).
    """
    parts = (notification.webservice_id, notification.key, route, name, "0")
    return hashlib.blake2b(_SEPARATOR.join(parts).encode(), digest_size=16).hexdigest()


def lane_key(notification: Notification, *, destination: str, account: str, order: Order, delivery: str) -> str:
    """Return the name of the lane that a delivery belongs to; ``delivery`` is its delivery key.

    The same destination, account and record share one. Without a record, and with ``order = "none"``, a delivery has a
    lane of its own.
    """
    record = notification.record_key
    if order is Order.NONE or record is None:
        return _SEPARATOR.join((destination, account, "", delivery))
    return _SEPARATOR.join((destination, account, record))
