"""Memory that nobody holds any more is collected when the process has grown."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway.maintenance import memory
from gateway.maintenance.memory import MemoryWatch, resident


class Circle:
    """Something that only the collector can take away."""

    def __init__(self) -> None:
        self.itself = self
        self.large = bytearray(1000)


@pytest.fixture
def never_collected() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def test_process_that_has_grown_is_collected(monkeypatch: pytest.MonkeyPatch, never_collected: None) -> None:
    taken = [100 << 20, 150 << 20, 170 << 20, 90 << 20]
    monkeypatch.setattr(memory, "resident", lambda: taken.pop(0))
    watch, gone = MemoryWatch(), weakref.ref(Circle())
    watch.look()
    assert gone() is not None, "50 MiB are no reason"
    watch.look()
    assert gone() is None
    assert taken == []


def test_growth_counts_from_the_least_that_was_seen(monkeypatch: pytest.MonkeyPatch, never_collected: None) -> None:
    taken = [200 << 20, 100 << 20, 165 << 20, 120 << 20]
    monkeypatch.setattr(memory, "resident", lambda: taken.pop(0))
    watch, gone = MemoryWatch(), weakref.ref(Circle())
    watch.look()
    watch.look()
    assert gone() is None


async def test_nothing_is_watched_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "resident", lambda: None)
    await asyncio.wait_for(MemoryWatch().keep_watching(), 1.0)


def test_resident_memory_is_told_in_bytes() -> None:
    found = resident()
    assert found is None or 10 << 20 < found < 1 << 40
