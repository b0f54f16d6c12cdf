"""What strains the door is an alarm while it lasts."""

from __future__ import annotations

from pathlib import Path

from gateway.store.store import Store
from gateway.store.work.alarms import list_alarms
from gateway.web.protocol.strain import Strain, Strains


async def test_an_alarm_is_raised_once_and_cleared_a_minute_after_it_was_met_last(tmp_path: Path) -> None:
    now = 1000.0
    strain = Strain("connections full", "webhook", "Look who opens them", clock=lambda: now)
    store = Store(f"sqlite:///{tmp_path}/gateway.db")
    await store.open()
    strains = Strains(store, [strain])

    async def raised() -> list[tuple[str, int]]:
        await strains.look()
        return [(one.text, one.times) for one in await store.read(list_alarms)]

    try:
        assert await raised() == []
        strain.met("3 are open")
        assert await raised() == [("3 are open. Look who opens them", 1)]
        now += 59.0
        assert strains.why() == "3 are open"
        strain.met("4 are open")
        assert len(await raised()) == 1
        now += 59.0
        assert len(await raised()) == 1
        now += 2.0
        assert await raised() == []
        assert strains.why() is None
        strain.met("5 are open")
        assert await raised() == [("5 are open. Look who opens them", 1)]
    finally:
        await store.close()
