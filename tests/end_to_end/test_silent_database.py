"""A real gateway whose PostgreSQL falls silent: it says so, gives the connections up, and goes on without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from sqlalchemy import URL, make_url

from gateway.store.engine.connect import open_database
from gateway.store.work.alarms import list_alarms
from tests.end_to_end.conftest import Make, World
from tests.support.postgresql import Server
from tests.support.tcp import silent_relay

POST = 'to = "service"\npath = "records"\njson = { key = "{{ notification.key }}" }'
BACK_WITHIN = 90.0


async def alarms_of(store: str) -> list[str]:
    def read() -> list[str]:
        database = open_database(store)
        try:
            with database.read() as connection:
                return [one.kind for one in list_alarms(connection)]
        finally:
            database.close()

    return await asyncio.to_thread(read)


async def ready(client: httpx.AsyncClient, health: str) -> bool:
    return (await client.get(f"{health}/readyz")).status_code == 200


async def stalls(store: str) -> bool:
    return "store stalls" in await alarms_of(store)


async def true(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    for _ in range(round(BACK_WITHIN)):
        if await condition():
            return
        await asyncio.sleep(1.0)
    raise AssertionError(f"it did not come true within {BACK_WITHIN:g} s")


async def test_database_that_falls_silent_is_told_and_needs_no_restart(
    world: World, route: Make, postgresql: Server
) -> None:
    store = postgresql.make_database()
    parsed = make_url(store)
    folder: Any = parsed.query["host"]
    async with silent_relay(f"{folder}/.s.PGSQL.5432") as relay, httpx.AsyncClient(timeout=10.0) as client:
        through = URL.create(
            "postgresql+psycopg", username=parsed.username, host="127.0.0.1", port=relay.port, database=parsed.database
        )
        where = f'store = "{through.render_as_string(hide_password=False)}"'
        world.write(route(POST, head='mode = "delayed"'), gateway=where)
        gateway = world.gateway
        assert gateway is not None
        await asyncio.to_thread(gateway.start)
        health = f"http://127.0.0.1:{gateway.port}"
        await world.doforms.until(lambda: True)
        assert (await client.get(f"{health}/readyz")).status_code == 200
        relay.fall_silent()
        await asyncio.sleep(0.5)  # one look at the store answers everybody for a moment
        assert (await client.get(f"{health}/readyz")).status_code == 503
        assert (await client.get(f"{health}/healthz")).status_code == 200
        await true(lambda: ready(client, health))
        await true(lambda: stalls(store))
        assert any("no answer within 30 s" in str(line.get("reason")) for line in gateway.lines())
        assert await asyncio.to_thread(gateway.stop) == 0
