"""Lanes and delivery keys: pure functions of what they name."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from gateway.intake.lanes import delivery_key, lane_key
from gateway.models import Event, Order
from tests.support.keeping import notification

ONE = notification("n1", record="r1")


def lane(of: object = ONE, **more: object) -> str:
    given = {"destination": "table", "account": "acme", "order": Order.RECORD, "delivery": "k1"}
    return lane_key(of, **(given | more))  # type: ignore[arg-type]


def test_a_delivery_key_is_the_same_whenever_it_is_computed() -> None:
    assert delivery_key(ONE, "route", "table") == "56b6dd70b163f5ce7f51f68c1fa35450"
    later = replace(ONE, status="other", received=ONE.received.replace(year=2000), body=b"other")
    assert delivery_key(later, "route", "table") == delivery_key(ONE, "route", "table")


def test_delivery_keys_differ_by_everything_that_tells_deliveries_apart() -> None:
    keys = [
        delivery_key(ONE, "route", "table"),
        delivery_key(replace(ONE, key="n2"), "route", "table"),
        delivery_key(replace(ONE, webservice_id="acme$$2"), "route", "table"),
        delivery_key(ONE, "other", "table"),
        delivery_key(ONE, "route", "mail"),
        delivery_key(ONE, "routeta", "ble"),
    ]
    assert all(one != other for one, other in combinations(keys, 2))


def test_the_same_destination_account_and_record_share_a_lane_across_notifications_and_routes() -> None:
    assert lane() == lane(notification("n2", record="r1"), delivery="k2")
    assert lane() == lane(order=Order.STRICT)


@pytest.mark.parametrize(
    "other",
    [
        lane(destination="mail"),
        lane(account="other"),
        lane(notification("n1", record="r2")),
        lane(notification("n1", record=None)),
        lane(order=Order.NONE),
    ],
)
def test_what_differs_in_one_of_them_has_a_lane_of_its_own(other: str) -> None:
    assert other != lane()


@pytest.mark.parametrize("order", [Order.RECORD, Order.STRICT])
def test_without_a_record_each_delivery_has_a_lane_of_its_own(order: Order) -> None:
    nothing = notification("n1", record=None)
    assert lane(nothing, order=order, delivery="k1") != lane(nothing, order=order, delivery="k2")


def test_without_order_each_delivery_has_a_lane_of_its_own() -> None:
    assert lane(order=Order.NONE, delivery="k1") != lane(order=Order.NONE, delivery="k2")


def test_a_status_event_stays_in_the_lane_of_its_dispatch() -> None:
    status = notification("n1", record="s1", dispatch_key="d1", event=Event.STATUS)
    assert lane(status) == lane(notification("n2", record=None, dispatch_key="d1"))
    assert lane(status) != lane(notification("n3", record="s1", dispatch_key="d1"))
