"""Retention while the gateway runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from gateway.maintenance.retention import Retention
from gateway.store.tables import deliveries
from tests.store.test_queue import delivered
from tests.store.test_reports import held
from tests.support.keeping import keep, notification
from tests.support.parts import Parts

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_walk_deletes_what_ended_and_leaves_what_waits(parts: Parts) -> None:
    store = parts.store
    kept = await store.submit(keep(take=True, report=False))
    await store.settle([delivered(held(kept))])
    await store.submit(keep(notification("n2", record="r2"), report=False))
    parts.active.load(replace(parts.active.routes, retention=0.0))
    assert (await Retention(store=store, active=parts.active).walk()).notifications == 1
    left = await store.read(lambda c: c.execute(select(func.count()).select_from(deliveries)).scalar_one())
    assert left == 1
