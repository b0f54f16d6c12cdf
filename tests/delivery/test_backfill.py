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
from gateway.delivery.books import Books, balance
from gateway.delivery.pauses import Cause, Kind
from gateway.delivery.reconcile import NOT_RECONCILED, TOO_SHORT, Reconciler
from gateway.doforms.listing import ListedRecord
from gateway.routing.loaded import Reconcile, Webservice
from gateway.store import alarms, pauses, reconciled
from gateway.store.clock import now
from gateway.store.tables import notifications
from gateway.store.tables import reconciled as marks
from tests.delivery.conftest import ROUTES, TEXT, Parts, eventually
from tests.support.keeping import WEBSERVICE, keep, notification
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


async def test_a_record_that_is_listed_twice_counts_once(backfill: Backfill, parts: Parts) -> None:
    parts.doforms.faults.add(path_contains="/submissions", status=200, body=b'[{"key": "r1"}, {"key": "r1"}]')
    assert await compared(backfill, parts) == ["r1"]


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


@pytest.mark.parametrize(("status", "body"), [(401, b""), (400, b"Daily web service quota exceeded.")])
async def test_a_listing_that_is_refused_altogether_pauses_the_web_service(
    backfill: Backfill, parts: Parts, status: int, body: bytes
) -> None:
    parts.doforms.faults.add(path_contains="/submissions", status=status, body=body)
    with pytest.raises(NotListed, match="the web service inspection is paused: doForms") as raised:
        await compared(backfill, parts)
    assert raised.value.told
    assert [pause.name for pause in await parts.store.read(pauses.list_pauses)] == [WEBSERVICE]


async def test_a_listing_that_alone_is_forbidden_pauses_nothing(backfill: Backfill, parts: Parts) -> None:
    parts.doforms.faults.add(path_contains="/submissions", status=403)
    with pytest.raises(
        NotListed, match="inspection may not list what doForms received: doForms answered 403"
    ) as raised:
        await compared(backfill, parts)
    assert not raised.value.told
    assert await parts.store.read(pauses.list_pauses) == []


def load(parts: Parts, folder: Path, *, gateway: str = "", route: str = "Inspection") -> None:
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text=TEXT)
    text = text.replace('name = "route"\nform = "Inspection"', f'name = "route"\nform = "{route}"')
    parts.current.load(load_routes(folder, f"[gateway]\n{gateway}\n{text}"))


LISTED = [ListedRecord(key="r1", id="id-r1")]


async def test_records_are_let_in_only_below_half_of_the_backlogs_limit(
    backfill: Backfill, parts: Parts, tmp_path: Path
) -> None:
    await parts.keep("n1", "another")
    load(parts, tmp_path, gateway="backlog_limit = 2")
    with pytest.raises(NotListed, match=r"1 deliveries wait already: .* below half of backlog_limit"):
        await backfill.let_in(inspection(parts), LISTED)
    load(parts, tmp_path, gateway="backlog_limit = 3")
    assert await backfill.let_in(inspection(parts), LISTED) == ["r1"]


async def test_records_are_let_in_only_while_twice_the_least_disk_is_free(
    backfill: Backfill, parts: Parts, tmp_path: Path
) -> None:
    free = await parts.store.free()
    assert free is not None
    load(parts, tmp_path, gateway=f'min_free_disk = "{int(0.75 * free)}B"')
    with pytest.raises(NotListed, match="the disk of the store is nearly full"):
        await backfill.let_in(inspection(parts), LISTED)
    load(parts, tmp_path, gateway=f'min_free_disk = "{int(0.25 * free)}B"')
    assert await backfill.let_in(inspection(parts), LISTED) == ["r1"]


async def test_a_record_that_cannot_be_kept_stands_in_no_others_way(backfill: Backfill, parts: Parts) -> None:
    found = [ListedRecord(key="\0", id=None), *LISTED]
    assert await backfill.let_in(inspection(parts), found) == ["r1"]


async def test_records_that_no_route_takes_are_not_let_in(backfill: Backfill, parts: Parts, tmp_path: Path) -> None:
    load(parts, tmp_path, route="Silent")
    assert backfill.obstacle(inspection(parts)) == "no route takes new records of the web service inspection"
    with pytest.raises(NotListed, match="no route takes new records of the web service inspection any more"):
        await backfill.let_in(inspection(parts), LISTED)


async def test_rounds_that_break_off_one_after_the_other_raise_an_alarm_until_one_ends(
    backfill: Backfill, parts: Parts
) -> None:
    reconciler = Reconciler(store=parts.store, current=parts.current, backfill=backfill)
    parts.doforms.faults.add(path_contains="/submissions", status=403, times=3)
    for _ in range(3):
        assert await parts.alarms() == []
        made = await reconciler.round(inspection(parts), Reconcile())
        assert made is not None
        assert "may not list" in str(made.broke_off)
    [alarm] = await parts.alarms()
    assert (alarm.kind, alarm.subject) == (NOT_RECONCILED, WEBSERVICE)
    assert "may not list what doForms received" in alarm.text
    made = await reconciler.round(inspection(parts), Reconcile())
    assert made is not None
    assert made.broke_off is None
    assert await parts.alarms() == []


async def test_a_pause_that_an_alarm_tells_of_raises_no_other_however_many_rounds_it_breaks_off(
    backfill: Backfill, parts: Parts
) -> None:
    reconciler = Reconciler(store=parts.store, current=parts.current, backfill=backfill)
    await parts.pauses.pause(Kind.WEBSERVICE, WEBSERVICE, "over quota", cause=Cause.QUOTA)
    told = await parts.alarms()
    for _ in range(4):
        await reconciler.round(inspection(parts), Reconcile())
    assert [one.kind for one in await parts.alarms()] == [one.kind for one in told]


async def test_a_round_that_another_process_makes_is_not_made_here(backfill: Backfill, parts: Parts) -> None:
    put(parts, "r1")
    reconciler = Reconciler(store=parts.store, current=parts.current, backfill=backfill)
    await parts.store.write(lambda c: reconciled.take(c, WEBSERVICE, token="other", lease=60.0))
    assert await reconciler.round(inspection(parts), Reconcile()) is None
    assert parts.doforms.requests == []


async def test_the_outcome_of_a_backfilled_record_is_passed_on_to_what_came_later_and_reported(
    backfill: Backfill, parts: Parts
) -> None:
    woken = asyncio.Event()
    reconciler = Reconciler(store=parts.store, current=parts.current, backfill=backfill, on_reports=woken.set)
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


async def test_a_round_that_finds_no_room_for_its_listings_raises_an_alarm_until_it_ends(
    backfill: Backfill, parts: Parts
) -> None:
    parts.store.lease = 0.3
    parts.doforms.faults.add(path_contains="/submissions", status=None, delay=1.0)
    reconciler = Reconciler(store=parts.store, current=parts.current, backfill=backfill)
    making = asyncio.create_task(reconciler.round(inspection(parts), Reconcile(every=0.1)))
    [alarm] = await eventually(parts.alarms)
    assert (alarm.kind, alarm.subject) == (NOT_RECONCILED, WEBSERVICE)
    assert "these leave no room" in alarm.text
    await making
    assert await parts.alarms() == []


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


async def doubts(backfill: Backfill, parts: Parts) -> list[str]:
    """Return why the listing of a day cannot be all that there is."""
    end = datetime.now(UTC).replace(microsecond=0)
    pages = backfill.compare(inspection(parts), end - timedelta(days=1), end)
    return [page.doubt.text async for page in pages if page.doubt is not None]


async def told_of(parts: Parts, *keys: str, ago: timedelta = AGO, on_the_way: timedelta = timedelta()) -> None:
    """Keep notifications of new records, made so long ago."""
    made = datetime.now(UTC) - ago
    for key in keys:
        of = notification(f"n-{key}", record=key, created=made, received=made + on_the_way)
        await parts.store.submit(keep(of))


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
    reconciler = Reconciler(store=parts.store, current=parts.current, backfill=backfill)

    async def round_() -> list[str]:
        made = await reconciler.round(inspection(parts), Reconcile())
        assert made is not None
        return made.lacking

    await told_of(parts, "deleted")
    assert await round_() == await round_() == ["deleted"]
    [alarm] = await parts.alarms()
    assert (alarm.kind, alarm.times) == (TOO_SHORT, 2)
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
    reconciler = Reconciler(store=parts.store, current=parts.current, backfill=backfill)
    made = await reconciler.round(inspection(parts), Reconcile(lookback=20 * 86400.0))
    assert made is not None
    assert (made.doubt, made.lacking) == (None, [])
    mark = (await parts.store.read(reconciled.marks))[WEBSERVICE]
    assert mark.until is not None


async def test_books_that_go_on_after_what_is_closed_are_never_complete(backfill: Backfill, parts: Parts) -> None:
    end = datetime.now(UTC).replace(microsecond=0)

    async def made(closed: datetime) -> Books:
        return await balance(backfill, parts.store, inspection(parts), end - timedelta(days=1), end, closed=closed)

    assert (await made(end)).verdict.startswith("complete for new records up to ")
    found = await made(end - timedelta(minutes=5))
    assert not found.complete
    assert "(`grace`) may not be here yet" in found.verdict


async def test_the_books_count_the_records_of_all_windows_by_destination_and_state(
    backfill: Backfill, parts: Parts
) -> None:
    put(parts, "r1", "r2", "r3", "r4")
    for key in ("r1", "r2"):
        await parts.keep(f"n-{key}", key)
    end = datetime.now(UTC).replace(microsecond=0)
    found = await balance(backfill, parts.store, inspection(parts), end - timedelta(days=1), end, closed=end)
    assert (found.listed, found.kept, found.missing, found.missing_keys) == (4, 2, 2, ["r3", "r4"])
    assert found.destinations == {"table": {"pending": 2}}
    assert not found.complete
    assert "2 of 4 records that doForms lists are missing here; 2 pending" in found.verdict


async def test_the_books_name_the_first_hundred_missing_records_of_all_windows(
    backfill: Backfill, parts: Parts
) -> None:
    for number in range(1200):
        put(parts, f"r{number}", ago=timedelta(minutes=1300 - number))
    end = datetime.now(UTC).replace(microsecond=0)
    found = await balance(backfill, parts.store, inspection(parts), end - timedelta(days=1), end, closed=end)
    assert (found.listed, found.missing) == (1200, 1200)
    assert found.missing_keys == [f"r{number}" for number in range(100)]


async def test_books_that_cannot_be_made_to_their_end_say_why(backfill: Backfill, parts: Parts) -> None:
    parts.doforms.faults.add(path_contains="/submissions", status=403)
    end = datetime.now(UTC).replace(microsecond=0)
    found = await balance(backfill, parts.store, inspection(parts), end - timedelta(days=1), end, closed=end)
    assert not found.complete
    assert "may not list what doForms received" in str(found.problem)
    assert found.verdict == f"not complete: {found.problem}"


async def test_books_are_not_complete_where_doforms_lacks_what_it_told_of(backfill: Backfill, parts: Parts) -> None:
    await told_of(parts, "r1")
    end = datetime.now(UTC).replace(microsecond=0)
    found = await balance(backfill, parts.store, inspection(parts), end - timedelta(days=1), end, closed=end)
    assert (found.complete, len(found.doubts)) == (False, 1)
    assert "doForms does not list all records that it told of" in found.verdict


async def test_books_are_not_complete_while_no_route_took_a_record(backfill: Backfill, parts: Parts) -> None:
    put(parts, "r1")
    await parts.store.submit(keep(notification(), matched=False, to=()))
    end = datetime.now(UTC).replace(microsecond=0)
    found = await balance(backfill, parts.store, inspection(parts), end - timedelta(days=1), end, closed=end)
    assert (found.listed, found.kept, found.unmatched, found.complete) == (1, 1, 1, False)
    assert "1 were taken by no route" in found.verdict
