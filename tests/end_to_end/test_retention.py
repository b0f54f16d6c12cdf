"""Retention of a real gateway: by itself, and by hand while it runs."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

from gateway.store.engine.transaction_time import SECOND
from tests.end_to_end.conftest import Make, World
from tests.end_to_end.test_back_pressure import post
from tests.end_to_end.test_pauses import ROW, order

LEFT = "SELECT notification_key, pruned_at IS NOT NULL FROM notifications ORDER BY id"
COMPLETED = b'{"status": "completed"}'


def age(world: World, days: int) -> None:
    """Make everything in the store so much older."""
    by = days * 86400 * SECOND
    with closing(sqlite3.connect(world.folder / "gateway.db", timeout=10)) as store, store:
        store.execute("UPDATE notifications SET received_at = received_at - ?, outcome_at = outcome_at - ?", (by, by))
        store.execute("UPDATE deliveries SET settled_at = settled_at - ?", (by,))
        store.execute("UPDATE lanes SET used_at = used_at - ?, last_number = last_number - ?", (by, by))


async def marked(world: World, key: str) -> None:
    """Wait until the answer to a notification was marked."""
    sql = f"SELECT report_state FROM notifications WHERE notification_key = '{key}'"
    await world.doforms.until(lambda: world.stored(sql) in ([("answered",)], [("reported",)]))


async def test_what_ended_is_deleted_by_hand_while_serve_runs_and_serve_goes_on(world: World, route: Make) -> None:
    with world.running(route(ROW)):
        assert (await post(world, "n1")).body == COMPLETED
        await marked(world, "n1")
        age(world, 40)
        arriving = asyncio.create_task(_arrive(world, 40))
        await asyncio.to_thread(order, world, "prune", "--older-than", "30d", "--yes")
        assert await arriving == {COMPLETED}
        assert world.stored(LEFT)[0] == ("n1", 1)
        assert world.stored("SELECT count(*) FROM deliveries") == [(40,)]
        assert world.stored("SELECT count(*) FROM lanes") == [(40,)]
        assert (await post(world, "n1")).body == COMPLETED
        assert len(world.rows("SELECT * FROM plain")) == 41


async def _arrive(world: World, number: int) -> set[bytes]:
    return {(await post(world, f"later {n}")).body for n in range(number)}


async def test_serve_deletes_by_itself_what_is_older_than_retention(world: World, route: Make) -> None:
    with world.running(route(ROW)):
        assert (await post(world, "n1")).body == COMPLETED
        await marked(world, "n1")
    age(world, 40)
    with world.running(route(ROW), gateway='retention = "30d"'):
        await world.doforms.until(lambda: world.stored(LEFT) == [("n1", 1)])
        await world.doforms.until(lambda: world.stored("SELECT count(*) FROM lanes") == [(0,)])
        assert (await post(world, "n1")).body == COMPLETED
        assert (await post(world, "n2")).body == COMPLETED
