"""Comparing what doForms lists with what is kept, against a doForms that does not always answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import update

from gateway.delivery.backfill import Backfill, NotListed
from gateway.delivery.pauses import Cause, Kind
from gateway.delivery.reconcile import Reconciler
from gateway.routing.loaded import Reconcile, Webservice
from gateway.store import reconciled
from gateway.store.clock import now
from gateway.store.tables import reconciled as marks
from tests.delivery.conftest import ROUTES, TEXT, Parts, eventually
from tests.support.keeping import WEBSERVICE
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGO = timedelta(hours=5)
SECOND = "globex$$1$$Published$$1"


@pytest_asyncio.fixture(loop_scope="module")
async def backfill(parts: Parts) -> AsyncIterator[Backfill]:
    parts.doforms.world.records.clear()
    yield Backfill(store=parts.store, current=parts.current, calls=parts.calls, pauses=parts.pauses)


def inspection(parts: Parts) -> Webservice:
    webservice = parts.current.webservice(WEBSERVICE)
    assert webservice is not None
    return webservice


def put(parts: Parts, *keys: str, ago: timedelta = AGO) -> None:
    for key in keys:
        parts.doforms.world.put(WEBSERVICE, key, {}, received=datetime.now(UTC) - ago)


async def compared(backfill: Backfill, parts: Parts) -> list[str]:
    """Return the keys that are not known of a day."""
    end = datetime.now(UTC).replace(microsecond=0)
    pages = backfill.compare(inspection(parts), end - timedelta(days=1), end)
    return [record.key async for page in pages for record in page.unknown]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "headers": {"Retry-After": "0"}},
        {"status": 429, "headers": {"Retry-After": "1"}},
        {"status": 200, "body": b"<html>down</html>"},
        {"name": "reset"},
    ],
)
async def test_a_listing_that_fails_once_is_asked_for_again(
    backfill: Backfill, parts: Parts, fault: dict[str, Any]
) -> None:
    put(parts, "r1", "r2")
    parts.doforms.faults.add(path_contains="/submissions", **fault)
    assert await compared(backfill, parts) == ["r1", "r2"]
    assert len(parts.doforms.requests) == 2


async def test_a_doforms_that_stays_away_or_asks_for_a_long_wait_is_not_waited_for(
    backfill: Backfill, parts: Parts
) -> None:
    parts.doforms.faults.add(path_contains="/submissions", status=503, headers={"Retry-After": "0"}, times=None)
    with pytest.raises(NotListed, match="cannot be listed: doForms answered 503"):
        await compared(backfill, parts)
    assert len(parts.doforms.requests) == 6
    parts.doforms.faults.clear()
    parts.doforms.faults.add(path_contains="/submissions", status=503, headers={"Retry-After": "3600"})
    with pytest.raises(NotListed) as raised:
        await compared(backfill, parts)
    assert raised.value.retry_after == 3600


async def test_a_web_service_paused_while_its_listing_waits_is_not_asked(backfill: Backfill, parts: Parts) -> None:
    await parts.pauses.pause(Kind.WEBSERVICE, WEBSERVICE, "over quota", cause=Cause.QUOTA)
    with pytest.raises(NotListed, match="is paused: over quota") as raised:
        await compared(backfill, parts)
    assert raised.value.told
    assert parts.doforms.requests == []


async def test_a_round_holds_its_mark_while_its_listing_waits(backfill: Backfill, parts: Parts) -> None:
    put(parts, "r1")
    parts.store.lease = 0.3
    parts.doforms.faults.add(path_contains="/submissions", status=None, delay=1.0)
    reconciler = Reconciler(store=parts.store, current=parts.current, backfill=backfill)
    making = asyncio.create_task(reconciler.round(inspection(parts), Reconcile()))
    await asyncio.sleep(0.7)  # longer than the lease

    async def taken() -> bool:
        return await parts.store.write(lambda c: reconciled.take(c, WEBSERVICE, token="x", lease=1)) is not None

    assert not await taken()
    made = await making
    assert made is not None
    assert (made.let_in, made.broke_off) == (1, None)
    assert await taken()


async def test_a_round_whose_mark_was_taken_over_leaves_it_alone(backfill: Backfill, parts: Parts) -> None:
    put(parts, "r1")
    parts.doforms.faults.add(path_contains="/submissions", status=None, delay=0.5)
    reconciler = Reconciler(store=parts.store, current=parts.current, backfill=backfill)
    making = asyncio.create_task(reconciler.round(inspection(parts), Reconcile()))
    await asyncio.sleep(0.2)
    await parts.store.write(lambda c: c.execute(update(marks).values(holder="other", lease_until=now() + 10**8)))
    made = await making
    assert made is not None
    assert made.broke_off == "another process reconciles inspection now"
    mark = (await parts.store.read(reconciled.marks))[WEBSERVICE]
    assert (mark.held, mark.until, mark.round_at) == (True, None, None)


async def test_a_round_that_waits_holds_up_none_of_another_account(
    backfill: Backfill, parts: Parts, tmp_path: Path
) -> None:
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text=TEXT)
    second = f'[webservices.second]\nid = "{SECOND}"\npassword = "env:PASSWORD"\nform = "Inspection"\n'
    parts.current.load(load_routes(tmp_path, f"{text}[reconcile]\n{second}"))
    parts.doforms.add_webservice(SECOND, "secret")
    parts.doforms.faults.add(path_contains="/submissions", hang=True)
    reconciler = Reconciler(store=parts.store, current=parts.current, backfill=backfill)
    making = asyncio.create_task(reconciler.keep_reconciling())

    async def ended() -> bool:
        found = await parts.store.read(reconciled.marks)
        return SECOND in found and found[SECOND].round_at is not None

    await eventually(ended)
    making.cancel()
    await asyncio.gather(making, return_exceptions=True)
    assert not (await parts.store.read(reconciled.marks))[WEBSERVICE].held
