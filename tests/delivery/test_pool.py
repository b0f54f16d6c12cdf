"""The pool of pipelines: what a reload does to it, and how it ends, by a clock of its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.config.loaded import DestinationEntry
from gateway.delivery.availability import DestinationStatus
from gateway.delivery.pool import PipelinePool
from gateway.log import Mask
from gateway.pauses import Kind
from gateway.testing import make_context
from tests.support.sink import Sink
from tests.support.virtual_time import run, seconds


class Slow(Sink):
    """Opens and closes when it is told to."""

    def __init__(self, *, opens_in: float = 0.0, closes_in: float = 0.0) -> None:
        super().__init__(Sink.Settings(), make_context("table"))
        self.opens_in, self.closes_in = opens_in, closes_in
        self.closed_at: float | None = None

    async def open(self) -> None:
        await asyncio.sleep(self.opens_in)

    async def close(self) -> None:
        await asyncio.sleep(self.closes_in)
        self.closed_at = seconds()


class Breaker:
    """A breaker as the pool sees it."""

    is_open = False
    open_since = probe_at = None


class Pipe:
    """A pipeline as the pool sees it: holds jobs, and sends for so long."""

    def __init__(self, entry: DestinationEntry, sends_for: float = 0.0) -> None:
        self.entry = entry
        self.breaker = Breaker()
        self.opened, self.unopened = False, None
        self.jobs: list[Any] = []
        self.stopped = False
        self.sends_for = sends_for
        self.capacity = 3

    def load(self, entry: DestinationEntry) -> None:
        self.entry = entry

    def take_back(self) -> list[Any]:
        jobs, self.jobs = self.jobs, []
        return jobs

    def stop(self) -> list[Any]:
        self.stopped = True
        return self.take_back()

    async def finish(self, until: float = 0.0) -> None:
        await asyncio.sleep(self.sends_for)


class NoPauses:
    """Pauses of which there are none but those named."""

    def __init__(self) -> None:
        self.paused: dict[str, str] = {}

    def reason(self, kind: Kind, name: str) -> str | None:
        return self.paused.get(name)

    def probing(self, kind: Kind, name: str) -> bool:
        return False

    async def opened(self, name: str) -> None:
        """Hear that one is open."""

    async def no_longer_opening(self, name: str) -> None:
        """Hear that nobody opens one."""

    async def is_back(self, name: str | None = None) -> None:
        """Hear that one is back."""


class Flow:
    """Counts how often the store is to be looked at."""

    woken = 0

    def wake(self) -> None:
        self.woken += 1


def entry(name: str, instance: Slow | None = None, **more: Any) -> DestinationEntry:
    return DestinationEntry(name=name, plugin="sink", instance=instance or Slow(), **more)


class Scene:
    """A pool, and what stands around it."""

    def __init__(self) -> None:
        self.pauses, self.flow = NoPauses(), Flow()
        self.made: list[Pipe] = []
        around: Any = {"pauses": self.pauses, "flow": self.flow, "make": self._make}
        self.pool = PipelinePool(mask=Mask(), closed_within=5.0, **around)

    def _make(self, entry: DestinationEntry) -> Any:
        self.made.append(Pipe(entry))
        return self.made[-1]

    def load(self, *entries: DestinationEntry) -> list[Any]:
        return self.pool.load({one.name: one for one in entries})

    async def opened(self) -> None:
        await asyncio.gather(*self.pool._opening.values())


def test_destination_is_claimed_for_once_it_is_open_and_not_before() -> None:
    async def play() -> None:
        scene = Scene()
        scene.load(entry("table", Slow(opens_in=30.0)))
        assert scene.pool.availability("table").status is DestinationStatus.OPENING
        assert scene.pool.capacities() == {}
        await scene.opened()
        assert seconds() == pytest.approx(30.0, abs=0.1)
        assert scene.pool.capacities() == {"table": 3}
        assert scene.flow.woken == 1, "the store is looked at for it"

    run(play())


def test_reload_keeps_an_instance_that_is_the_same_and_swaps_one_that_is_not() -> None:
    async def play() -> None:
        scene, kept, swapped = Scene(), entry("kept"), entry("swapped")
        scene.load(kept, swapped)
        await scene.opened()
        for pipe in scene.made:
            pipe.jobs = [f"job of {pipe.entry.name}"]
        changed = entry("swapped", Slow())
        unsent = scene.load(replace(kept, concurrency=2), changed)
        assert sorted(unsent) == ["job of kept", "job of swapped"], "they are led anew"
        assert [pipe.entry.name for pipe in scene.made] == ["kept", "swapped", "swapped"]
        assert scene.made[0].entry.concurrency == 2
        assert [pipe.stopped for pipe in scene.made] == [False, True, False]
        assert scene.pool.get("swapped") is scene.made[2]

    run(play())


def test_instance_that_was_swapped_is_closed_after_its_sends_have_ended() -> None:
    async def play() -> None:
        scene, old = Scene(), Slow(closes_in=1.0)
        scene.load(entry("table", old))
        await scene.opened()
        scene.made[0].sends_for = 20.0
        scene.load(entry("table", Slow()))
        await asyncio.sleep(30.0)
        assert old.closed_at == pytest.approx(21.0, abs=0.1)

    run(play())


def test_destination_that_is_gone_is_let_go_of() -> None:
    async def play() -> None:
        scene, gone = Scene(), Slow()
        scene.load(entry("table", gone))
        await scene.opened()
        scene.made[0].jobs = ["job"]
        assert scene.load() == ["job"]
        await asyncio.sleep(1.0)
        assert gone.closed_at is not None
        assert scene.pool.availability("table").status is DestinationStatus.NOT_LOADED

    run(play())


def test_close_that_has_no_end_is_given_up_after_its_time() -> None:
    async def play() -> None:
        scene, stuck = Scene(), Slow(closes_in=3600.0)
        scene.load(entry("table", stuck))
        await scene.opened()
        scene.load()
        await asyncio.sleep(6.0)
        assert scene.pool._retiring == {}
        assert stuck.closed_at is None

    run(play())


def test_stalled_destinations_give_back_what_waits_and_others_keep_it() -> None:
    async def play() -> None:
        scene = Scene()
        scene.load(*(entry(name) for name in ("up", "down", "paused")))
        await scene.opened()
        for pipe in scene.made:
            pipe.jobs = [pipe.entry.name]
        scene.made[1].breaker.is_open = True
        scene.pauses.paused["paused"] = "moved"
        assert scene.pool.take_back_stalled() == ["down", "paused"]
        assert scene.pool.take_back_stalled() == []
        assert scene.made[0].jobs == ["up"]

    run(play())


def test_pool_that_is_stopped_gives_back_all_and_takes_nothing() -> None:
    async def play() -> None:
        scene = Scene()
        scene.load(entry("one"), entry("two"))
        await scene.opened()
        for pipe in scene.made:
            pipe.jobs = [pipe.entry.name]
        assert scene.pool.stop() == ["one", "two"]
        assert scene.pool.availability("one").status is DestinationStatus.STOPPING
        assert scene.pool.capacities() == {}

    run(play())
