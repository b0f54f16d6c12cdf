"""Slots of an account: never more than there are, fairly divided, back when a process is idle or killed."""

from __future__ import annotations

import random
from typing import Any

import pytest
from sqlalchemy import func, select, update

from gateway.store.store import Store
from gateway.store.tables import call_slots as rows
from gateway.store.work import call_slots
from gateway.store.work.call_slots import Share, _fair, balance


async def ask(
    store: Store, holder: str, *, keeps: int = 0, demand: int, most: int = 4, account: str = "acme", lease: float = 10.0
) -> Share:
    given: dict[str, Any] = {"holder": holder, "keeps": keeps, "demand": demand, "most": most, "lease": lease}
    return await store.write(lambda c: balance(c, account, **given))


def of(share: Share) -> tuple[int, int]:
    return share.slots, share.fair


async def test_one_that_is_alone_gets_what_it_needs_up_to_all(store: Store) -> None:
    assert of(await ask(store, "a", demand=1)) == (1, 1)
    assert of(await ask(store, "a", keeps=1, demand=9)) == (4, 4)
    assert of(await ask(store, "a", demand=9, account="other")) == (4, 4)


async def test_one_that_needs_less_keeps_what_it_uses_and_no_more(store: Store) -> None:
    await ask(store, "a", demand=4)
    assert of(await ask(store, "a", keeps=1, demand=1)) == (1, 1)
    assert of(await ask(store, "b", demand=9)) == (3, 3)


async def test_one_that_has_all_is_told_to_come_down_to_its_share_when_another_waits(store: Store) -> None:
    await ask(store, "a", demand=9)
    assert of(await ask(store, "b", demand=9)) == (0, 0)
    assert of(await ask(store, "a", keeps=4, demand=9)) == (4, 2)
    assert of(await ask(store, "a", keeps=2, demand=9)) == (2, 2)
    assert of(await ask(store, "b", demand=9)) == (2, 2)
    assert of(await ask(store, "a", keeps=2, demand=9)) == (2, 2)


async def test_an_idle_one_leaves_all_to_the_other(store: Store) -> None:
    await ask(store, "a", demand=4)
    await ask(store, "b", demand=4)
    assert of(await ask(store, "a", keeps=4, demand=0)) == (4, 0)
    await store.write(lambda c: call_slots.give_back(c, "acme", "a"))
    assert of(await ask(store, "b", demand=4)) == (4, 4)


async def test_a_killed_process_slots_come_back_when_its_lease_has_ended(store: Store) -> None:
    await ask(store, "a", demand=4)
    assert of(await ask(store, "b", demand=4)) == (0, 0)
    await store.write(lambda c: c.execute(update(rows).where(rows.c.holder == "a").values(until=1)))
    assert of(await ask(store, "b", demand=4)) == (4, 4)
    assert await store.read(lambda c: c.execute(select(func.count()).select_from(rows)).scalar_one()) == 1


async def test_however_many_ask_and_come_down_there_are_never_more_than_the_account_has(store: Store) -> None:
    dice = random.Random(1)
    used = dict.fromkeys("abc", 0)
    shares = {name: Share(slots=0, fair=0, until=0.0) for name in used}
    for _ in range(150):
        name = dice.choice("abc")
        used[name] = dice.randint(0, max(used[name], shares[name].fair))  # calls end, and begin up to the fair share
        keeps = max(used[name], shares[name].fair)
        shares[name] = await ask(store, name, keeps=keeps, demand=used[name] + dice.randint(0, 5))
        assert sum(share.slots for share in shares.values()) <= 4
        assert all(used[one] <= shares[one].slots for one in used)


@pytest.mark.parametrize(
    ("demands", "most", "fair"),
    [
        ({"a": 9}, 4, {"a": 4}),
        ({"a": 9, "b": 9}, 4, {"a": 2, "b": 2}),
        ({"a": 1, "b": 9}, 4, {"a": 1, "b": 3}),
        ({"a": 0, "b": 9}, 4, {"a": 0, "b": 4}),
        ({"a": 1, "b": 1}, 4, {"a": 1, "b": 1}),
        ({"a": 9, "b": 2, "c": 9}, 8, {"a": 3, "b": 2, "c": 3}),
    ],
)
def test_slots_are_divided_evenly_and_nobody_gets_more_than_it_needs(
    demands: dict[str, int], most: int, fair: dict[str, int]
) -> None:
    assert _fair(demands, most, 0) == fair


def test_what_cannot_be_divided_goes_round() -> None:
    turns = [_fair({"a": 9, "b": 9, "c": 9}, 1, turn) for turn in range(3)]
    assert turns == [{"a": 1, "b": 0, "c": 0}, {"a": 0, "b": 1, "c": 0}, {"a": 0, "b": 0, "c": 1}]
