"""Notifications and what is kept of them, for tests of the store and the delivery."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gateway.intake.lanes import delivery_key, lane_key
from gateway.models import Event, Mode, Notification, Order
from gateway.store.work.inbox import Keep, NewDelivery

WEBSERVICE = "acme$$1$$Published$$2"


def notification(
    key: str = "n1", *, record: str | None = "r1", event: Event = Event.CREATE, **more: Any
) -> Notification:
    """Return a notification of a submission."""
    values: dict[str, Any] = {
        "key": key,
        "webservice_id": WEBSERVICE,
        "event": event,
        "submission_key": record,
        "received": datetime.now(UTC),
        "body": b"{}",
    }
    return Notification(**(values | more))


def new_delivery(of: Notification, destination: str = "table", **more: Any) -> NewDelivery:
    """Return a delivery of a notification, in its record's lane."""
    key = delivery_key(of, "route", destination)
    values: dict[str, Any] = {
        "route": "route",
        "name": destination,
        "destination": destination,
        "lane": lane_key(of, destination=destination, account="acme", order=Order.RECORD, delivery=key),
        "delivery_key": key,
        "required": True,
        "take": False,
    }
    return NewDelivery(**(values | more))


def keep(of: Notification | None = None, *, to: tuple[str, ...] = ("table",), take: bool = False, **more: Any) -> Keep:
    """Return what is to be kept of a notification with one delivery to each destination."""
    one = of or notification()
    values: dict[str, Any] = {
        "notification": one,
        "account": "acme",
        "webservice": "inspection",
        "mode": Mode.DELAYED,
        "reason": "a test",
        "deliveries": tuple(new_delivery(one, name, take=take) for name in to),
    }
    return Keep(**(values | more))
