"""What is kept aside: so much a minute, and less than what notifications need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Misfit
from gateway.intake.admission import Admission
from gateway.routing.active import ActiveRoutes
from gateway.store.operator import quarantine
from gateway.store.operator.quarantine import NewEntry
from gateway.store.store import Store
from gateway.store.work import alarms
from gateway.web.aside import MOST_OF_A_SENDER, MOST_OF_ALL, Intake
from tests.support.sink import load_routes

MEBIBYTE = 1024 * 1024


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_sender_has_so_many_bodies_and_bytes_a_minute() -> None:
    intake = Intake(clock := Clock())
    most, most_bytes = MOST_OF_A_SENDER
    assert [intake.takes("a", 10) for _ in range(most)] == [None] * most
    assert "600 bodies" in str(intake.takes("a", 10))
    assert intake.takes("b", most_bytes) is None
    assert "of one sender" in str(intake.takes("b", 1))
    clock.now += 60.0
    assert intake.takes("a", 10) is None
    assert intake.takes("b", 1) is None


def test_invented_senders_together_have_a_limit_too_and_cost_no_memory() -> None:
    intake = Intake(Clock())
    most, most_bytes = MOST_OF_ALL
    taken = [intake.takes(f"sender {number}", 10) for number in range(50_000)]
    assert taken.count(None) == most
    assert len(intake._counts) < 3000
    other = Intake(Clock())
    assert [other.takes(number, 4 * MEBIBYTE) for number in range(5)].count(None) == most_bytes // (4 * MEBIBYTE)


class ShortDisk:
    """A store on a disk of which quarantine takes a part."""

    def __init__(self, store: Store, whole: int) -> None:
        self._store = store
        self.whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def free(self) -> int:
        return self.whole - await self._store.read(quarantine.size)


@pytest.mark.parametrize(
    ("whole", "left", "refused"),
    [
        (100 * MEBIBYTE, 10, False),
        (74 * MEBIBYTE, 6, False),
        (70 * MEBIBYTE, 2, False),
        (66 * MEBIBYTE, 0, False),
        (50 * MEBIBYTE, 0, True),
    ],
)
async def test_quarantine_gives_way_before_a_notification_is_refused(
    tmp_path: Path, whole: int, left: int, refused: bool
) -> None:
    routes = load_routes(
        tmp_path, '[gateway]\nmin_free_disk = "64MB"\n[webhook]\nheaders = { K = "env:KEY" }\n', {"KEY": "k"}
    )
    store = Store(f"sqlite:///{tmp_path}/gateway.db")
    await store.open()
    try:
        for _ in range(10):
            entry = NewEntry(path="/", client=None, reason="odd", body=b"x" * MEBIBYTE, code=Misfit.NO_OBJECT)
            await store.write(lambda c, one=entry: quarantine.add(c, one))
        disk: Any = ShortDisk(store, whole)
        admission = Admission(store=disk, active=ActiveRoutes(routes))
        await admission.look()
        assert await store.read(quarantine.size) // MEBIBYTE == left
        assert (admission.refuses() is not None) is refused
        raised = await store.read(alarms.list_alarms)
        assert ([one.kind for one in raised] == ["disk nearly full"]) is refused
    finally:
        await store.close()
