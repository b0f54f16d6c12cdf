"""Roles: a process that only receives and one that only delivers, put together on one store after each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from gateway.app import Gateway, running
from gateway.doforms.simulator import Seen, Simulator
from gateway.log import Mask
from gateway.settings import Role
from gateway.store.tables import deliveries, notifications
from gateway.web.server import serving
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def process(folder: Path, doforms: Simulator, role: Role) -> AsyncIterator[tuple[Gateway, str]]:
    text = ROUTES.format(api=doforms.api, webservice=WEBSERVICE, more='mode = "immediate"', text="x")
    async with running(load_routes(folder, text), mask=Mask(), role=role) as gateway, serving(gateway) as url:
        doforms.target = f"{url}/webhooks/doforms"
        yield gateway, url


async def kept(gateway: Gateway) -> list[tuple[Any, ...]]:
    row, delivery = notifications.c, deliveries.c
    statement = select(row.mode, row.mode_reason, delivery.state).join(deliveries, delivery.notification_id == row.id)
    return await gateway.store.read(lambda connection: [tuple(one) for one in connection.execute(statement)])


async def received(folder: Path, doforms: Simulator) -> Seen:
    async with process(folder, doforms, Role.RECEIVE) as (gateway, _):
        seen = await doforms.create(WEBSERVICE, {"site": "Dock"}, key="r1")
        reason = "this process only receives (--role receive); another one delivers"
        assert await kept(gateway) == [("delayed", reason, "pending")]
    return seen


async def test_one_that_receives_keeps_and_answers_empty_and_leaves_the_delivery_to_others(
    tmp_path: Path, doforms: Simulator
) -> None:
    seen = await received(tmp_path, doforms)
    assert [(one.status, one.body) for one in seen.answers] == [(200, b"")]
    assert (doforms.requests, seen.belief) == ([], "received")


async def test_one_that_works_delivers_and_reports_what_another_received(tmp_path: Path, doforms: Simulator) -> None:
    seen = await received(tmp_path, doforms)
    async with process(tmp_path, doforms, Role.WORK) as (gateway, _):
        await doforms.until(lambda: seen.belief == "completed")
        assert [state for _, _, state in await kept(gateway)] == ["delivered"]


async def test_one_that_works_serves_its_health_and_sends_notifications_away_so_that_they_come_again(
    tmp_path: Path, doforms: Simulator
) -> None:
    async with process(tmp_path, doforms, Role.WORK) as (_, url), httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/healthz")).status_code == 200
        assert "table" in (await http.get(f"{url}/readyz")).json()["destinations"]
        answer = await http.post(f"{url}/webhooks/doforms", content=b"{}")
    assert answer.status_code == 503
    assert "--role work" in answer.json()["error"]
    assert int(answer.headers["retry-after"]) > 0
