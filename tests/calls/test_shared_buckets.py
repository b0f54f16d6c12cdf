from __future__ import annotations

import asyncio

from gateway.calls.shared_buckets import SharedTokenBucket


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Permits:
    """Gives what it has, and says that there is more in two seconds."""

    def __init__(self, *has: int) -> None:
        self.has = list(has)
        self.asked: list[int] = []

    async def draw(self, wanted: int) -> tuple[int, float]:
        self.asked.append(wanted)
        return min(wanted, self.has.pop(0)), 2.0


def make(permits: Permits) -> tuple[SharedTokenBucket, Clock, asyncio.Event]:
    clock, more = Clock(), asyncio.Event()
    return SharedTokenBucket(permits.draw, clock=clock, on_more=more.set), clock, more


async def test_permissions_are_drawn_when_they_are_wanted_and_told_of_when_they_came() -> None:
    permits = Permits(3)
    bucket, _, more = make(permits)
    assert bucket.take(5) == 0
    assert 0 < bucket.wait() < 0.1
    await more.wait()
    assert [bucket.take(2), bucket.take(2), bucket.take(2)] == [2, 1, 0]
    assert permits.asked == [5]


async def test_nothing_is_drawn_again_before_there_can_be_more() -> None:
    permits = Permits(0, 1)
    bucket, clock, more = make(permits)
    assert bucket.take(1) == 0
    await asyncio.sleep(0.01)
    assert (bucket.take(1), permits.asked) == (0, [1])
    assert bucket.wait() == 2.0
    clock.now += 2.0
    assert bucket.take(1) == 0
    await more.wait()
    assert bucket.take(1) == 1


async def test_while_some_are_being_drawn_nothing_else_is() -> None:
    permits = Permits(3)
    bucket, _, more = make(permits)
    assert [bucket.take(3), bucket.take(3)] == [0, 0]
    await more.wait()
    assert (bucket.take(3), permits.asked) == (3, [3])


async def test_nothing_is_drawn_for_nothing() -> None:
    permits = Permits()
    bucket, _, _ = make(permits)
    assert bucket.take(0) == 0
    await asyncio.sleep(0.01)
    assert permits.asked == []


async def test_permissions_that_were_not_used_are_not_saved_up() -> None:
    permits = Permits(5, 5)
    bucket, clock, more = make(permits)
    bucket.take(5)
    await more.wait()
    clock.now += 1.5
    assert bucket.take(5) == 0


async def test_a_store_that_is_away_grants_nothing_and_is_asked_again() -> None:
    async def fail(wanted: int) -> tuple[int, float]:
        raise RuntimeError("the store is away")

    clock = Clock()
    bucket = SharedTokenBucket(fail, clock=clock, on_more=lambda: None)
    assert bucket.take(1) == 0
    await asyncio.sleep(0.01)
    assert (bucket.take(1), bucket.wait()) == (0, 1.0)


async def test_a_wait_that_the_pace_does_not_explain_is_a_stop() -> None:
    for each, stopped in ((2.0, 0.0), (0.1, 2.0)):
        clock = Clock()
        bucket = SharedTokenBucket(Permits(0).draw, clock=clock, on_more=lambda: None, each=each)
        bucket.take(1)
        await asyncio.sleep(0.01)
        assert bucket.stopped() == stopped
        clock.now += 2.0
        assert bucket.stopped() == 0.0
