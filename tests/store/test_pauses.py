"""Pauses in the store: what a person ordered is ended by a person alone."""

from __future__ import annotations

from gateway.store.operator import pauses
from gateway.store.operator.pauses import Pause
from gateway.store.store import Store


def pause(cause: str, reason: str) -> Pause:
    return Pause(kind="destination", name="table", cause=cause, reason=reason, since=1)


async def test_a_pause_that_a_person_ordered_is_not_replaced_and_ended_only_where_that_is_meant(store: Store) -> None:
    assert await store.write(lambda c: pauses.pause(c, pause("misconfigured", "login refused")))
    assert await store.write(lambda c: pauses.pause(c, pause("ordered", "moving house")))
    assert not await store.write(lambda c: pauses.pause(c, pause("misconfigured", "login refused")))
    assert not await store.write(lambda c: pauses.resume(c, "destination", "table", ordered=False))
    assert [one.reason for one in await store.read(pauses.list_pauses)] == ["moving house"]
    assert await store.write(lambda c: pauses.pause(c, pause("ordered", "moved")))
    assert await store.write(lambda c: pauses.resume(c, "destination", "table"))
    assert await store.read(pauses.list_pauses) == []
