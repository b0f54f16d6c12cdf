"""The rounds of `serve`: when they are made, break off or wait, and what they pass on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import update

from gateway.config.loaded import Reconcile
from gateway.models import AlarmKind
from gateway.pauses import Cause, Kind
from gateway.reconcile.backfill import Backfill
from gateway.reconcile.rounds import Reconciler
from gateway.store.engine.transaction_time import now
from gateway.store.tables import notifications
from gateway.store.tables import reconciled as marks
from gateway.store.work import watermarks
from tests.reconcile.conftest import LISTED, SECOND, inspection, put
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES, TEXT, Parts, eventually
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_rounds_that_break_off_one_after_the_other_raise_an_alarm_until_one_ends(
    backfill: Backfill, parts: Parts
) -> None:
    reconciler = Reconciler(store=parts.store, active=parts.active, backfill=backfill)
    parts.doforms.faults.add(path_contains="/submissions", status=403, times=3)
    for _ in range(3):
        assert await parts.alarms() == []
        made = await reconciler.round(inspection(parts), Reconcile())
        assert made is not None
        assert "may not list" in str(made.broke_off)
    [alarm] = await parts.alarms()
    assert (alarm.kind, alarm.subject) == (AlarmKind.NOT_RECONCILED, WEBSERVICE)
    assert "may not list what doForms received" in alarm.text
    made = await reconciler.round(inspection(parts), Reconcile())
    assert made is not None
    assert made.broke_off is None
    assert await parts.alarms() == []


async def test_a_pause_that_an_alarm_tells_of_raises_no_other_however_many_rounds_it_breaks_off(
    backfill: Backfill, parts: Parts
) -> None:
    reconciler = Reconciler(store=parts.store, active=parts.active, backfill=backfill)
    await parts.pauses.pause(Kind.WEBSERVICE, WEBSERVICE, "over quota", cause=Cause.QUOTA)
    told = await parts.alarms()
    for _ in range(4):
        await reconciler.round(inspection(parts), Reconcile())
    assert [one.kind for one in await parts.alarms()] == [one.kind for one in told]


async def test_a_round_that_another_process_makes_is_not_made_here(backfill: Backfill, parts: Parts) -> None:
    put(parts, "r1")
    reconciler = Reconciler(store=parts.store, active=parts.active, backfill=backfill)
    await parts.store.write(lambda c: watermarks.take(c, WEBSERVICE, token="other", lease=60.0))
    assert await reconciler.round(inspection(parts), Reconcile()) is None
    assert parts.doforms.requests == []


async def test_the_outcome_of_a_backfilled_record_is_passed_on_to_what_came_later_and_reported(
    backfill: Backfill, parts: Parts
) -> None:
    woken = asyncio.Event()
    reconciler = Reconciler(store=parts.store, active=parts.active, backfill=backfill, on_reports=woken.set)
    await backfill.let_in(inspection(parts), LISTED)
    await parts.keep("n1")
    following = asyncio.create_task(reconciler.keep_following())
    await asyncio.sleep(0.1)
    assert not woken.is_set()
    first = notifications.c.notification_key == "backfill:r1"
    await parts.store.write(lambda c: c.execute(update(notifications).where(first).values(outcome="completed")))
    async with asyncio.timeout(3):
        await woken.wait()
    assert (await parts.row("n1")).outcome == "completed"
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_round_holds_its_mark_while_its_listing_waits(backfill: Backfill, parts: Parts) -> None:
    put(parts, "r1")
    parts.store.lease = 0.3
    parts.doforms.faults.add(path_contains="/submissions", status=None, delay=1.0)
    reconciler = Reconciler(store=parts.store, active=parts.active, backfill=backfill)
    making = asyncio.create_task(reconciler.round(inspection(parts), Reconcile()))
    await asyncio.sleep(0.7)  # longer than the lease

    async def taken() -> bool:
        return await parts.store.write(lambda c: watermarks.take(c, WEBSERVICE, token="x", lease=1)) is not None

    assert not await taken()
    made = await making
    assert made is not None
    assert (made.let_in, made.broke_off) == (1, None)
    assert await taken()


async def test_a_round_that_finds_no_room_for_its_listings_raises_an_alarm_until_it_ends(
    backfill: Backfill, parts: Parts
) -> None:
    parts.store.lease = 0.3
    parts.doforms.faults.add(path_contains="/submissions", status=None, delay=1.0)
    reconciler = Reconciler(store=parts.store, active=parts.active, backfill=backfill)
    making = asyncio.create_task(reconciler.round(inspection(parts), Reconcile(every=0.1)))
    [alarm] = await eventually(parts.alarms)
    assert (alarm.kind, alarm.subject) == (AlarmKind.NOT_RECONCILED, WEBSERVICE)
    assert "these leave no room" in alarm.text
    await making
    assert await parts.alarms() == []


async def test_a_round_whose_mark_was_taken_over_leaves_it_alone(backfill: Backfill, parts: Parts) -> None:
    put(parts, "r1")
    parts.doforms.faults.add(path_contains="/submissions", status=None, delay=0.5)
    reconciler = Reconciler(store=parts.store, active=parts.active, backfill=backfill)
    making = asyncio.create_task(reconciler.round(inspection(parts), Reconcile()))
    await asyncio.sleep(0.2)
    await parts.store.write(lambda c: c.execute(update(marks).values(holder="other", lease_until=now() + 10**8)))
    made = await making
    assert made is not None
    assert made.broke_off == "another process reconciles inspection now"
    mark = (await parts.store.read(watermarks.marks))[WEBSERVICE]
    assert (mark.held, mark.until, mark.round_at) == (True, None, None)


async def test_a_round_that_waits_holds_up_none_of_another_account(
    backfill: Backfill, parts: Parts, tmp_path: Path
) -> None:
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text=TEXT)
    second = f'[webservices.second]\nid = "{SECOND}"\npassword = "env:PASSWORD"\nform = "Inspection"\n'
    parts.active.load(load_routes(tmp_path, f"{text}[reconcile]\n{second}"))
    parts.doforms.add_webservice(SECOND, "secret")
    parts.doforms.faults.add(path_contains="/submissions", hang=True)
    reconciler = Reconciler(store=parts.store, active=parts.active, backfill=backfill)
    making = asyncio.create_task(reconciler.keep_reconciling())

    async def ended() -> bool:
        found = await parts.store.read(watermarks.marks)
        return SECOND in found and found[SECOND].round_at is not None

    await eventually(ended)
    making.cancel()
    await asyncio.gather(making, return_exceptions=True)
    assert not (await parts.store.read(watermarks.marks))[WEBSERVICE].held
