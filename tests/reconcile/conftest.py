"""A comparison of what doForms lists with what is kept, and what is put at doForms for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest_asyncio

from gateway.config.loaded import Webservice
from gateway.doforms.listing import ListedRecord
from gateway.reconcile.backfill import Backfill
from tests.support.keeping import WEBSERVICE, keep, notification
from tests.support.parts import ROUTES, TEXT, Parts, doforms, http, parts, simulator, store
from tests.support.sink import load_routes

__all__ = ["doforms", "http", "parts", "simulator", "store"]

AGO = timedelta(hours=5)
LISTED = [ListedRecord(key="r1", id="id-r1")]
SECOND = "globex$$1$$Published$$1"


@pytest_asyncio.fixture(loop_scope="module")
async def backfill(parts: Parts) -> AsyncIterator[Backfill]:
    parts.doforms.world.records.clear()
    yield Backfill(store=parts.store, active=parts.active, calls=parts.calls, pauses=parts.pauses)


def inspection(parts: Parts) -> Webservice:
    webservice = parts.active.webservice(WEBSERVICE)
    assert webservice is not None
    return webservice


def put(parts: Parts, *keys: str, ago: timedelta = AGO) -> None:
    for key in keys:
        parts.doforms.world.put(WEBSERVICE, key, {}, received=datetime.now(UTC) - ago)


def load(parts: Parts, folder: Path, *, gateway: str = "", route: str = "Inspection") -> None:
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text=TEXT)
    text = text.replace('name = "route"\nform = "Inspection"', f'name = "route"\nform = "{route}"')
    parts.active.load(load_routes(folder, f"[gateway]\n{gateway}\n{text}"))


async def told_of(parts: Parts, *keys: str, ago: timedelta = AGO, on_the_way: timedelta = timedelta()) -> None:
    """Keep notifications of new records, made so long ago."""
    made = datetime.now(UTC) - ago
    for key in keys:
        of = notification(f"n-{key}", record=key, created=made, received=made + on_the_way)
        await parts.store.submit(keep(of))
