"""How the fetch for a notification stands, and who makes it."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import delete

from gateway.models import FetchState, RecordKind
from gateway.store.engine.transaction_time import SECOND
from gateway.store.store import Store
from gateway.store.tables import notifications
from gateway.store.work import fetches, record_ids, records
from gateway.store.work.fetches import Standing
from gateway.store.work.records import KeptNotification
from tests.support.keeping import keep, notification


async def kept(store: Store, key: str = "n1", record: str | None = "r1", **more: str) -> KeptNotification:
    id_ = (await store.submit(keep(notification(key, record=record, **more), fetch=True))).id
    return (await store.read(lambda c: records.load(c, [id_])))[id_]


async def standing(store: Store, of: KeptNotification) -> Standing:
    return await store.read(lambda c: fetches.standing(c, of, most=1000))


async def claim(store: Store, of: KeptNotification, token: str, *, lease: float = 30.0) -> float | None:
    return await store.write(lambda c: fetches.claim(c, of.id, token=token, lease=lease))


async def test_a_fetch_that_is_claimed_is_held_until_its_lease_lapses(store: Store) -> None:
    one = await kept(store)
    assert not (await standing(store, one)).kept.fetch_held
    assert await claim(store, one, "mine", lease=0.2) is not None
    held = (await standing(store, one)).kept
    assert held.fetch_held
    assert held.fetch_due_at is not None
    assert 0 < held.fetch_due_at - store.now() <= SECOND // 5
    assert await claim(store, one, "other") is None
    await asyncio.sleep(0.25)
    assert await claim(store, one, "other") is not None


async def test_only_what_is_still_held_is_renewed(store: Store) -> None:
    one, two = await kept(store), await kept(store, "n2", "r2")
    await claim(store, one, "mine", lease=0.3)
    await claim(store, two, "other", lease=0.3)
    renewed = await store.write(lambda c: fetches.renew(c, {one.id: "mine", two.id: "mine"}, 30.0))
    assert list(renewed) == [one.id]
    await asyncio.sleep(0.35)
    assert await claim(store, one, "other") is None
    assert await claim(store, two, "mine") is not None


async def test_a_fetch_is_handed_back_by_who_holds_it(store: Store) -> None:
    one = await kept(store)
    await claim(store, one, "mine")
    await store.write(lambda c: fetches.release(c, one.id, token="other"))
    assert await claim(store, one, "other") is None
    await store.write(lambda c: fetches.release(c, one.id, token="mine"))
    assert not (await standing(store, one)).kept.fetch_held
    assert await claim(store, one, "other") is not None


async def test_a_fetch_in_another_state_is_not_claimed(store: Store) -> None:
    one = await kept(store)
    await store.write(lambda c: records.pin(c, one, {RecordKind.SUBMISSION: b"{}"}))
    assert await claim(store, one, "mine") is None
    state = FetchState.PINNED
    assert await store.write(lambda c: fetches.claim(c, one.id, token="mine", lease=1.0, state=state)) is not None


async def test_an_earlier_notification_of_the_record_whose_fetch_is_due_is_known(store: Store) -> None:
    first, second = await kept(store), await kept(store, "n2")
    another, later = await kept(store, "n3", "r2"), await kept(store, "n4")
    found = {one.id: (await standing(store, one)).has_earlier for one in (first, second, another, later)}
    assert found == {first.id: False, second.id: True, another.id: False, later.id: True}
    earlier = await store.read(lambda c: fetches.earlier_due(c, later))
    assert [one.id for one in earlier] == [first.id, second.id]
    for one in (first, second):
        await store.write(lambda c, one=one: records.pin(c, one, {RecordKind.SUBMISSION: b"{}"}))
    assert not (await standing(store, later)).has_earlier
    assert await store.read(lambda c: fetches.earlier_due(c, later)) == []


async def test_what_was_learnt_and_pinned_stands_beside_the_fetch(store: Store) -> None:
    one = await kept(store, dispatch_key="d1")
    await store.write(lambda c: record_ids.learn(c, "acme", {"r1": "17", "d1": "18", "r2": "19"}))
    found = await standing(store, one)
    assert (found.learnt, found.pinned) == ({"r1": "17", "d1": "18"}, {})
    await store.write(lambda c: records.pin(c, one, {RecordKind.SUBMISSION: b"{}"}))
    found = await standing(store, one)
    assert (found.kept.fetch_state, found.pinned) == (FetchState.PINNED, {RecordKind.SUBMISSION: b"{}"})


async def test_what_is_pinned_for_one_notification_is_that_of_no_other(store: Store) -> None:
    one, other = await kept(store), await kept(store, "n2")
    await store.write(lambda c: records.pin(c, one, {RecordKind.SUBMISSION: b"{}"}))
    assert (await standing(store, other)).kept.fetch_state is FetchState.DUE
    assert await store.read(lambda c: records.pinned_bodies(c, other.id)) == {}
    await store.write(lambda c: records.pin(c, other, {RecordKind.SUBMISSION: b"[]"}))
    await store.write(lambda c: records.pin(c, other, {RecordKind.SUBMISSION: b'"again"'}))
    found = [await store.read(lambda c, one=one: records.pinned_bodies(c, one.id)) for one in (one, other)]
    assert found == [{RecordKind.SUBMISSION: b"{}"}, {RecordKind.SUBMISSION: b'"again"'}]


async def test_a_failed_fetch_counts_what_it_spent_and_is_held_by_nobody(store: Store) -> None:
    one, until = await kept(store), store.now() + 60 * SECOND
    for counted in (True, False):
        await claim(store, one, "mine")
        await store.write(
            lambda c, counted=counted: fetches.note_failed(
                c, one.id, state=FetchState.DUE, reason="503", spent=7, due_at=until, counted=counted
            )
        )
        found = (await standing(store, one)).kept
        assert (found.fetch_held, found.fetch_due_at, found.fetch_reason) == (False, until, "503")
    assert (found.fetch_attempts, found.fetch_spent) == (1, 14)
    assert await claim(store, one, "mine") is None, "it is not due"


async def test_a_notification_that_was_deleted_meanwhile_is_told(store: Store) -> None:
    one = await kept(store)
    await store.write(lambda c: c.execute(delete(notifications).where(notifications.c.id == one.id)))
    with pytest.raises(LookupError, match="the notification n1 is not in the store any more"):
        await standing(store, one)
