"""Listings that lack what notifications told of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.config.loaded import Reconcile
from gateway.models import AlarmKind
from gateway.reconcile.backfill import Backfill
from gateway.reconcile.rounds import Reconciler
from gateway.store.work import alarms, watermarks
from tests.reconcile.conftest import AGO, inspection, put, told_of
from tests.support.keeping import WEBSERVICE
from tests.support.parts import Parts

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def doubts(backfill: Backfill, parts: Parts) -> list[str]:
    """Return why the listing of a day cannot be all that there is."""
    end = datetime.now(UTC).replace(microsecond=0)
    pages = backfill.compare(inspection(parts), end - timedelta(days=1), end)
    return [page.doubt.text async for page in pages if page.doubt is not None]


async def test_a_listing_that_lacks_what_was_told_of_is_doubted_though_it_has_others(
    backfill: Backfill, parts: Parts
) -> None:
    await told_of(parts, "r1", "r2")
    put(parts, "r1", "r2", "never told of", "nor this")
    assert await doubts(backfill, parts) == []
    del parts.doforms.world.records["submission", "r2"]
    [doubt] = await doubts(backfill, parts)
    assert "doForms lists 3 records" in doubt
    assert "notifications of 2 new ones came in that time. Not listed: r2." in doubt


async def test_the_listing_of_a_moment_is_not_doubted(backfill: Backfill, parts: Parts) -> None:
    await told_of(parts, "r1")
    made = datetime.now(UTC).replace(microsecond=0) - AGO
    pages = backfill.compare(inspection(parts), made - timedelta(minutes=1), made + timedelta(minutes=1))
    assert [page.doubt async for page in pages] == [None]


async def test_a_record_that_can_be_listed_in_the_window_beside_is_not_missed(backfill: Backfill, parts: Parts) -> None:
    put(parts, "one", "two", "three")
    await told_of(parts, "edge", ago=timedelta(minutes=10))
    await told_of(parts, "whose clock is off", on_the_way=timedelta(minutes=20))
    assert await doubts(backfill, parts) == []


async def test_an_alarm_cleared_by_hand_is_raised_again_only_for_another_record(
    backfill: Backfill, parts: Parts
) -> None:
    reconciler = Reconciler(store=parts.store, active=parts.active, backfill=backfill)

    async def round_() -> list[str]:
        made = await reconciler.round(inspection(parts), Reconcile())
        assert made is not None
        return made.lacking

    await told_of(parts, "deleted")
    assert await round_() == await round_() == ["deleted"]
    [alarm] = await parts.alarms()
    assert (alarm.kind, alarm.times) == (AlarmKind.LISTING_TOO_SHORT, 2)
    assert "Not listed: deleted." in alarm.text
    await parts.store.write(lambda c: alarms.clear_by_id(c, alarm.id))
    assert await round_() == ["deleted"]
    assert await parts.alarms() == []
    await told_of(parts, "another")
    assert sorted(await round_()) == ["another", "deleted"]
    [alarm] = await parts.alarms()
    assert "Not listed: another, deleted." in alarm.text


async def test_what_was_told_of_a_week_ago_is_not_waited_for_any_more(backfill: Backfill, parts: Parts) -> None:
    await told_of(parts, "old", ago=timedelta(days=8))
    reconciler = Reconciler(store=parts.store, active=parts.active, backfill=backfill)
    made = await reconciler.round(inspection(parts), Reconcile(lookback=20 * 86400.0))
    assert made is not None
    assert (made.doubt, made.lacking) == (None, [])
    mark = (await parts.store.read(watermarks.marks))[WEBSERVICE]
    assert mark.until is not None
