"""Places in a line: waited for as long as they soon come free, refused at once where they do not."""

from __future__ import annotations

import asyncio

import pytest

from gateway.delivery.places import Places

MOST = 4
SOON = 0.05


async def full() -> Places:
    places = Places()
    for _ in range(MOST):
        assert await places.take(MOST, patience=SOON)
    return places


async def waiting(places: Places) -> asyncio.Task[bool]:
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
