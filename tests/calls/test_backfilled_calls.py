"""Calls for records that were backfilled: behind all others, and few of them in line."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.records.fetcher import Records
from gateway.retry import Deferred
from gateway.store.engine.transaction_time import SECOND
from gateway.store.work.records import KeptNotification
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES, TEXT, Parts
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")


def one_call_at_once(parts: Parts, folder: Path, *, a_minute: int = 60_000) -> None:
    """Let one call of the account be under way; the first takes a while."""
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text=TEXT)
    text = text.replace("requests_per_minute = 60000", f"requests_per_minute = {a_minute}")
    parts.active.load(load_routes(folder, text.replace("[webservices.i", "max_in_flight = 1\n[webservices.i", 1)))
    parts.doforms.faults.add(status=None, delay=0.5)


async def kept(parts: Parts, key: str, record: str | None = None) -> KeptNotification:
    record = record or key.removeprefix("backfill:")
    parts.doforms.put_record(WEBSERVICE, record, {"site": record})
    return await parts.keep(key, record)


async def begun(parts: Parts, of: KeptNotification) -> asyncio.Task[Records]:
    """Ask for a record, and wait until its call is under way or in line."""
    task = asyncio.create_task(parts.fetcher.records(of))
    await asyncio.sleep(0.05)
    return task


async def test_the_fetch_of_a_backfilled_record_goes_behind_all_others(parts: Parts, tmp_path: Path) -> None:
    one_call_at_once(parts, tmp_path)
    order = [await kept(parts, key) for key in ("first", "backfill:old", "live", "later")]
    asked = [await begun(parts, one) for one in order]
    await asyncio.gather(*asked)
    assert parts.asked() == ["first", "live", "later", "old"]


async def test_a_live_notifications_fetch_overtakes_a_thousand_backfilled_ones(parts: Parts, tmp_path: Path) -> None:
    backfilled = [await kept(parts, f"backfill:b{number}") for number in range(1000)]
    live = await kept(parts, "live")
    one_call_at_once(parts, tmp_path)
    asked = [asyncio.create_task(parts.fetcher.records(one)) for one in backfilled]
    await asyncio.sleep(0.05)
    assert (await parts.fetcher.records(live)).known
    assert parts.asked()[1] == "live"
    ended = await asyncio.gather(*asked, return_exceptions=True)
    later = [one.until for one in ended if isinstance(one, Deferred) and one.in_line]
    assert len(later) == 1000 - 512
    assert all(after - before >= SECOND // 1000 for before, after in pairwise(later))  # 60,000 calls a minute
    assert sorted(parts.asked()) == sorted(["live", *(f"b{number}" for number in range(512))])
    assert (await parts.fetcher.records(backfilled[512])).known  # there is a place again


@pytest.mark.parametrize(("a_minute", "places"), [(15, 2), (60, 4), (600, 40)])
async def test_as_many_wait_in_line_as_can_be_called_for_until_the_others_look_again(
    parts: Parts, tmp_path: Path, a_minute: int, places: int
) -> None:
    backfilled = [await kept(parts, f"backfill:b{number}") for number in range(50)]
    one_call_at_once(parts, tmp_path, a_minute=a_minute)
    asked = [asyncio.create_task(parts.fetcher.records(one)) for one in backfilled]
    waiting = set(asked)
    while len(waiting) > places:
        refused, waiting = await asyncio.wait(waiting, timeout=10.0, return_when=asyncio.FIRST_COMPLETED)
        assert refused
    assert not (await asyncio.wait(waiting, timeout=0.2))[0]
    await parts.fetcher.stop()
    await asyncio.gather(*asked, return_exceptions=True)


async def test_what_is_pinned_already_needs_no_place_in_line(parts: Parts, tmp_path: Path) -> None:
    pinned = await kept(parts, "backfill:pinned")
    await parts.fetcher.records(pinned)
    one_call_at_once(parts, tmp_path)
    asked = [await begun(parts, await kept(parts, f"backfill:b{number}")) for number in range(2)]
    assert (await parts.fetcher.records(await parts.kept(pinned.id))).known
    await asyncio.gather(*asked)


async def test_a_backfilled_record_for_which_a_live_one_waits_goes_with_that(parts: Parts, tmp_path: Path) -> None:
    backfilled = await kept(parts, "backfill:r9")
    edited = await kept(parts, "edited", "r9")
    others = [await kept(parts, key) for key in ("first", "backfill:old")]
    one_call_at_once(parts, tmp_path)
    asked = [await begun(parts, one) for one in others]
    await parts.fetcher.records(edited)
    assert parts.asked()[:2] == ["first", "r9"]
    assert (await parts.row("backfill:r9")).fetch_state == "pinned"
    await asyncio.gather(*asked)
    assert (await parts.fetcher.records(await parts.kept(backfilled.id))).known


async def test_calls_that_waited_while_their_web_service_was_paused_are_not_made(parts: Parts, tmp_path: Path) -> None:
    waiting = [await kept(parts, f"n{number}") for number in range(20)]
    one_call_at_once(parts, tmp_path)
    parts.doforms.faults.clear()
    parts.doforms.faults.add(status=401, times=None)
    ended = await asyncio.gather(*(parts.fetcher.records(one) for one in waiting), return_exceptions=True)
    assert [type(one) for one in ended] == [Deferred] * 20
    assert all(str(one).startswith("the web service inspection is paused: doForms answered 401") for one in ended)
    assert len(parts.doforms.requests) == 1
