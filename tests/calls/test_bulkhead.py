"""Places in a line: waited for as long as they soon come free, refused at once where they do not."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.calls.bulkhead import AccountBulkheads, Bulkhead, CallQueue
from gateway.config.loaded import Account
from gateway.retry import Deferred
from gateway.store.engine.transaction_time import SECOND
from gateway.store.store import Store

MOST = 4
ACCOUNT = cast(Account, SimpleNamespace(name="north", requests_per_minute=60, max_in_flight=1))
"""With as many places: what can be called for in twice two seconds."""
MOMENT = 1_000_000 * SECOND
SOON = 0.05


async def full() -> Bulkhead:
    places = Bulkhead()
    for _ in range(MOST):
        assert await places.take(MOST, patience=SOON)
    return places


async def waiting(places: Bulkhead) -> asyncio.Task[bool]:
    task = asyncio.create_task(places.take(MOST, patience=10.0))
    await asyncio.sleep(0)
    return task


async def test_who_has_no_patience_is_refused_where_all_are_taken() -> None:
    places = await full()
    assert not await places.take(MOST, patience=0.0)
    patient = await waiting(places)
    assert not patient.done()  # whoever has some goes on
    places.leave(MOST)
    assert await patient


async def test_a_place_that_comes_free_goes_to_who_waited_longest() -> None:
    places = await full()
    first, second = await waiting(places), await waiting(places)
    places.leave(MOST)
    assert await first
    assert not second.done()
    places.leave(MOST)
    assert await second


async def test_once_one_waited_in_vain_nobody_waits_until_half_of_the_places_are_free() -> None:
    places = await full()
    assert not await places.take(MOST, patience=SOON)
    assert not await asyncio.wait_for(places.take(MOST, patience=10.0), 1.0)
    places.leave(MOST)
    assert await places.take(MOST, patience=10.0)  # a free place is a free place
    assert not await asyncio.wait_for(places.take(MOST, patience=10.0), 1.0)
    places.leave(MOST)
    places.leave(MOST)
    for _ in range(2):
        assert await places.take(MOST, patience=10.0)
    later = await waiting(places)
    assert not later.done()
    places.leave(MOST)
    assert await later


@pytest.mark.parametrize("came_free", [False, True])
async def test_who_goes_away_while_waiting_takes_no_place(came_free: bool) -> None:
    places = await full()
    gone = await waiting(places)
    if came_free:
        places.leave(MOST)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    if not came_free:
        places.leave(MOST)
    assert await places.take(MOST, patience=0.0)
    assert not await places.take(MOST, patience=0.0)


async def test_fewer_places_after_a_reload_let_nobody_in_until_so_many_are_free() -> None:
    places = await full()
    places.leave(MOST)
    assert not await places.take(2, patience=0.0)
    places.leave(2)
    places.leave(2)
    assert await places.take(2, patience=0.0)


async def refused(places: AccountBulkheads) -> int:
    """Ask for a place that is not there; returns the seconds from now to when to look again."""
    with pytest.raises(Deferred) as told:
        async with places.hold(ACCOUNT, CallQueue.RECORDS):
            pass
    assert told.value.in_line
    assert str(told.value) == (
        "it waits for its turn: calls for records of the account north that came before go first"
    )
    return (told.value.until - MOMENT) // SECOND


async def test_who_finds_no_place_stands_behind_the_others_until_the_line_has_ended() -> None:
    places = AccountBulkheads(cast(Store, SimpleNamespace(now=lambda: MOMENT)))
    async with AsyncExitStack() as held:
        for _ in range(MOST):
            await held.enter_async_context(places.hold(ACCOUNT, CallQueue.RECORDS))
        assert [await refused(places) for _ in range(3)] == [2, 3, 4]
        async with places.hold(ACCOUNT, CallQueue.RECORDS, backfilled=True), places.hold(ACCOUNT, CallQueue.REPORTS):
            pass  # lines of their own
    async with AsyncExitStack() as held:
        for _ in range(MOST):
            await held.enter_async_context(places.hold(ACCOUNT, CallQueue.RECORDS))
        assert await refused(places) == 2
