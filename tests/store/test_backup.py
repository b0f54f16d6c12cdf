"""A copy taken with SQLite's online backup while the gateway works is a whole store, with the same delivery keys."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.store.store import Store
from tests.store.test_queue import ALL
from tests.support.keeping import keep, notification

pytestmark = pytest.mark.parametrize("kind", ["sqlite"])


async def test_a_copy_taken_while_notifications_arrive_goes_on_under_the_same_delivery_keys(
    store: Store, tmp_path: Path
) -> None:
    first = await store.submit(keep())
    arriving = [store.submit(keep(notification(f"m{number}", record=f"m{number}"))) for number in range(50)]
    copy = tmp_path / "copy.db"
    with sqlite3.connect(store.database.path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
        assert target.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    source.close()
    target.close()
    for one in arriving:
        await one
    restored = Store(f"sqlite:///{copy}")
    await restored.open()
    try:
        claimed = await restored.claim(ALL)
        assert first.deliveries[0].new.delivery_key in {due.delivery_key for due in claimed}
        assert (await restored.submit(keep())).repeat
    finally:
        await restored.close()
