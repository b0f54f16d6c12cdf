"""The store's side of the books: what became of records, by destination, and of which no route took anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.models import Event, Outcome
from gateway.store.operator import completeness
from gateway.store.operator.actions import Actor
from gateway.store.operator.drop import drop_unmatched
from gateway.store.store import Store
from gateway.store.work.inbox import Keep
from gateway.store.work.queue import Begin, Due, Settlement
from tests.store.test_queue import ALL, dead, delivered
from tests.support.keeping import keep, new_delivery, notification

BY = Actor(who="me", why="")


def two_ways() -> Keep:
    """Return what is kept of a record that two routes bring to one destination."""
    one = notification()
    ways = [replace(new_delivery(one), route=route, lane=route) for route in ("state", "audit")]
    return keep(one, deliveries=tuple(ways))


async def settle(store: Store, ends: dict[str, Callable[[Due], Settlement]]) -> None:
    """Settle what is due by route."""
    for due in await store.claim(ALL):
        if due.route in ends:
            await store.begin([Begin(due=due, attempt_id=due.id, rendered=b"{}")])
            await store.settle([replace(ends[due.route](due), attempt_id=due.id)])


async def counts(store: Store, *keys: str) -> Any:
    return await store.read(lambda c: completeness.count_records(c, "acme", keys))


async def unmatched(store: Store, *keys: str) -> int:
    return await store.read(lambda c: completeness.count_unmatched(c, "acme", keys))


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ({"state": delivered, "audit": dead}, "dead"),
        ({"state": delivered}, "pending"),
        ({"state": delivered, "audit": delivered}, "delivered"),
    ],
)
async def test_a_record_is_at_a_destination_only_when_each_route_has_brought_it(
    store: Store, ends: dict[str, Callable[[Due], Settlement]], state: str
) -> None:
    await store.submit(two_ways())
    await settle(store, ends)
    assert await counts(store, "r1", "r2") == {"table": {state: 1}}


async def test_only_the_records_that_are_asked_for_are_counted_and_those_of_one_account(store: Store) -> None:
    for key, record in (("n1", "r1"), ("n2", "r2")):
        await store.submit(keep(notification(key, record=record)))
    await store.submit(replace(keep(notification("n3", record="r3")), account="globex"))
    for key, account in (("n4", "acme"), ("n5", "globex")):
        await store.submit(replace(keep(notification(key, record="none"), matched=False, to=()), account=account))
    await store.submit(keep(notification("n6", record="nor this"), matched=False, to=()))
    assert await counts(store, "r1", "r3") == {"table": {"pending": 1}}
    assert await unmatched(store, "none", "r1") == 1


async def test_a_later_delivery_on_the_same_way_makes_up_for_a_dead_one(store: Store) -> None:
    await store.submit(keep())
    await settle(store, {"route": dead})
    await store.submit(keep(notification("n2", event=Event.UPDATE)))
    await settle(store, {"route": delivered})
    assert await counts(store, "r1") == {"table": {"delivered": 1}}


async def test_records_of_which_no_route_took_any_notification_are_counted(store: Store) -> None:
    for key, record, more in (
        ("n1", "taken", {}),
        ("n2", "twice", {"matched": False, "to": ()}),
        ("n3", "twice", {}),
        ("n4", "nowhere", {"matched": False, "to": ()}),
        ("n5", "nowhere", {"matched": False, "to": (), "outcome": Outcome.FAILED}),
        ("n6", "decided", {"matched": False, "to": (), "outcome": Outcome.COMPLETED}),
    ):
        await store.submit(keep(notification(key, record=record), **more))
    given_up = await store.submit(keep(notification("n7", record="dropped"), matched=False, to=()))
    assert await unmatched(store, "taken", "twice", "nowhere", "decided", "dropped", "unknown") == 2
    await store.write(lambda c: drop_unmatched(c, [given_up.id], BY))
    assert await unmatched(store, "taken", "twice", "nowhere", "decided", "dropped", "unknown") == 1
