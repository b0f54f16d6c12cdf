"""Finding a record: by the learnt id, by the key, again after a moment, by the id that a listing shows."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.models import AlarmKind, Event, FetchState
from gateway.records.fetcher import Records
from gateway.records.unreadable import IN_A_ROW
from gateway.retry import Deferred
from gateway.store.operator import pauses
from gateway.store.work import record_ids
from tests.support.keeping import WEBSERVICE
from tests.support.parts import Parts

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = 3600.0
OTHER = b'{"key": "r9", "id": "id-r9", "fields": []}'


async def not_yet(parts: Parts, key: str = "n1") -> str:
    """Ask for a record that is not to be had now; returns why."""
    with pytest.raises(Deferred) as raised:
        await ask(parts, key)
    return str(raised.value)


async def ask(parts: Parts, key: str = "n1") -> Records:
    return await parts.fetcher.records(await parts.kept((await parts.row(key)).id))


async def look_twice(parts: Parts, key: str = "n1") -> str:
    """Ask in vain at first and again after a moment; returns why."""
    await not_yet(parts, key)
    await parts.wait_is_over()
    return await not_yet(parts, key)


async def learnt(parts: Parts, *keys: str) -> dict[str, str]:
    return await parts.store.read(lambda connection: record_ids.known(connection, "acme", keys))


def unreadable(parts: Parts, *keys: str) -> None:
    """Let records be listed, and readable by their ids alone."""
    for key in keys:
        parts.doforms.put_record(WEBSERVICE, key, {"site": "Dock"})
        parts.doforms.readable_after(key, LONG)


async def test_a_record_that_takes_a_moment_is_read_by_its_key_then(parts: Parts) -> None:
    parts.doforms.faults.add(status=404)
    await parts.keep("n1")
    assert "could not be found yet: doForms answered 404" in await not_yet(parts)
    row = await parts.row("n1")
    assert (row.fetch_state, row.fetch_attempts) == (FetchState.DUE, 0)
    assert row.fetch_due_at - parts.store.now() <= 1_000_000
    await parts.wait_is_over()
    assert (await ask(parts)).record.fields["site"] == "Dock"
    assert parts.asked() == ["r1", "r1"]


async def test_the_moment_holds_no_slot_and_stalls_nobody_else(parts: Parts) -> None:
    unreadable(parts, *(f"u{number}" for number in range(20)))
    for number in range(20):
        await parts.keep(f"n{number}", f"u{number}")
    await parts.keep("well", "r1")
    started = time.monotonic()
    await asyncio.gather(*(not_yet(parts, f"n{number}") for number in range(20)))
    assert (await ask(parts, "well")).record.fields["site"] == "Dock"
    assert time.monotonic() - started < 0.8


async def test_a_record_whose_key_cannot_be_used_is_found_in_a_listing_and_read_by_its_id(parts: Parts) -> None:
    unreadable(parts, "r1")
    await parts.keep("n1")
    await not_yet(parts)
    await parts.wait_is_over()
    assert (await ask(parts)).record.fields["site"] == "Dock"
    assert parts.asked() == ["r1", "r1", "submissions", "id-r1"]
    assert (await parts.row("n1")).fetch_state == FetchState.PINNED


async def test_what_was_learnt_is_asked_for_first(parts: Parts) -> None:
    unreadable(parts, "r1")
    await parts.store.write(lambda c: record_ids.learn(c, "acme", {"r1": "id-r1"}))
    await parts.keep("n1")
    await ask(parts)
    assert parts.asked() == ["id-r1"]


async def test_an_id_that_is_no_good_any_more_leads_back_to_the_key(parts: Parts) -> None:
    await parts.store.write(lambda c: record_ids.learn(c, "acme", {"r1": "old"}))
    await parts.keep("n1")
    await ask(parts)
    assert parts.asked() == ["old", "r1"]
    assert await learnt(parts, "r1") == {"r1": "id-r1"}


async def test_an_id_that_was_asked_for_in_vain_is_not_asked_for_again_because_a_listing_shows_it(parts: Parts) -> None:
    await parts.store.write(lambda c: record_ids.learn(c, "acme", {"r1": "id-r1"}))
    parts.doforms.faults.add(path_contains="/submissions/", status=404, times=None)
    await parts.keep("n1")
    assert "doForms lists the record r1 (id id-r1) but does not hand it out" in await look_twice(parts)
    assert parts.asked() == ["id-r1", "r1", "id-r1", "r1", "submissions"]


async def test_a_record_that_is_listed_without_an_id_is_told_as_not_handed_out(parts: Parts) -> None:
    parts.doforms.faults.add(path_contains="/submissions/", status=404, times=None)
    parts.doforms.faults.add(path_contains="/submissions", status=200, body=b'[{"key": "r1"}]', times=None)
    await parts.keep("n1")
    assert "doForms lists the record r1 (id None) but does not hand it out: doForms answered 404" in (
        await look_twice(parts)
    )
    assert parts.asked() == ["r1", "r1", "submissions"]


async def test_a_dispatch_that_is_not_found_is_looked_for_in_no_listing(parts: Parts) -> None:
    await parts.keep("n1", None, dispatch_key="d1", event=Event.STATUS)
    assert "dispatches cannot be looked for in listings" in await look_twice(parts)
    assert parts.asked() == ["d1", "d1"]


async def test_every_id_in_a_listing_is_learnt_so_that_a_burst_needs_few_listings(parts: Parts) -> None:
    keys = [f"u{number}" for number in range(30)]
    unreadable(parts, *keys)
    for key in keys:
        await parts.keep(f"n-{key}", key)
    await asyncio.gather(*(not_yet(parts, f"n-{key}") for key in keys))
    await parts.wait_is_over()
    found = await asyncio.gather(*(ask(parts, f"n-{key}") for key in keys))
    assert {one.record.key for one in found} == set(keys)
    assert len(await learnt(parts, *keys)) == 30
    assert parts.asked().count("submissions") <= 4


async def test_a_notification_that_comes_days_late_is_looked_for_at_both_times(parts: Parts) -> None:
    created = datetime.now(UTC) - timedelta(days=2)
    parts.doforms.world.put(WEBSERVICE, "late", {"site": "Mill"}, received=created)
    parts.doforms.readable_after("late", LONG)
    await parts.keep("n1", "late", created=created)
    await not_yet(parts)
    await parts.wait_is_over()
    assert (await ask(parts)).record.fields["site"] == "Mill"


async def test_what_is_in_no_listing_either_is_retried_and_says_where_it_was_looked_for(parts: Parts) -> None:
    await parts.keep("n1", "lost")
    told = await look_twice(parts)
    assert "doForms answered 404 for the submission lost" in told
    assert "nor is it among the records that doForms lists as received from 20" in told
    assert (await parts.row("n1")).fetch_attempts == 1


@pytest.mark.parametrize("status", [400, 404, 410, 422])
async def test_a_key_that_is_refused_leads_on_and_pauses_nothing(parts: Parts, status: int) -> None:
    parts.doforms.faults.add(path_contains="/r1", status=status, times=None)
    await parts.keep("n1")
    await not_yet(parts)
    await parts.wait_is_over()
    assert (await ask(parts)).record.fields["site"] == "Dock"
    assert await parts.store.read(pauses.list_pauses) == []


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": "Internal error"}', OTHER])
async def test_a_success_that_is_not_this_record_leads_on(parts: Parts, body: bytes) -> None:
    parts.doforms.faults.add(path_contains="/r1", status=200, body=body, times=None)
    await parts.keep("n1")
    await not_yet(parts)
    await parts.wait_is_over()
    assert (await ask(parts)).record.key == "r1"


async def test_another_records_key_and_id_are_told(parts: Parts) -> None:
    parts.doforms.faults.add(status=200, body=OTHER)
    await parts.keep("n1")
    assert "another record (key r9, id id-r9) instead of r1" in await not_yet(parts)


async def test_a_forbidden_record_whose_web_service_is_listed_pauses_nothing(parts: Parts) -> None:
    parts.doforms.faults.add(path_contains="r1", status=403, times=None)
    await parts.keep("n1")
    assert "doForms lists the record r1 (id id-r1) but does not hand it out: doForms answered 403" in (
        await not_yet(parts)
    )
    assert await parts.store.read(pauses.list_pauses) == []
    assert (await parts.row("n1")).fetch_attempts == 1


@pytest.mark.parametrize(("kind", "paused"), [("fine", 0), ("forbidden", 1)])
async def test_a_forbidden_dispatch_pauses_only_if_listing_is_forbidden_too(
    parts: Parts, kind: str, paused: int
) -> None:
    parts.doforms.faults.add(path_contains="/dispatches", status=403)
    if kind == "forbidden":
        parts.doforms.faults.add(path_contains="/submissions", status=403)
    await parts.keep("n1", None, dispatch_key="d1", event=Event.STATUS)
    await not_yet(parts)
    assert len(await parts.store.read(pauses.list_pauses)) == paused


async def test_a_forbidden_listing_does_not_pause_a_web_service_whose_records_are_not(parts: Parts) -> None:
    parts.doforms.faults.add(path_contains="/lost", status=404, times=2)
    parts.doforms.faults.add(path_contains="/submissions", status=403)
    await parts.keep("n1", "lost")
    assert "the listing to look for it in failed: doForms answered 403" in await look_twice(parts)
    assert await parts.store.read(pauses.list_pauses) == []


@pytest.mark.parametrize(("status", "body"), [(401, b""), (400, b"Daily web service quota exceeded.")])
async def test_a_listing_that_is_refused_altogether_pauses_the_web_service(
    parts: Parts, status: int, body: bytes
) -> None:
    parts.doforms.faults.add(path_contains="/lost", status=404, times=2)
    parts.doforms.faults.add(path_contains="/submissions", status=status, body=body)
    await parts.keep("n1", "lost")
    assert "is paused" in await look_twice(parts)
    assert (await parts.row("n1")).fetch_attempts == 0


async def test_too_many_requests_is_no_attempt(parts: Parts) -> None:
    parts.doforms.faults.add(status=429)
    await parts.keep("n1")
    await not_yet(parts)
    assert (await parts.row("n1")).fetch_attempts == 0


async def test_an_answer_to_a_listed_id_that_speaks_of_doforms_state_is_judged_as_that(parts: Parts) -> None:
    unreadable(parts, "r1")
    parts.doforms.faults.add(path_contains="/id-r1", status=429)
    await parts.keep("n1")
    assert "doForms answered 429" in await look_twice(parts)
    assert parts.asked() == ["r1", "r1", "submissions", "id-r1"]
    assert (await parts.row("n1")).fetch_attempts == 0
    assert (await parts.row("n1")).fetch_state == FetchState.DUE


async def test_records_that_are_listed_but_not_handed_out_raise_an_alarm_until_one_is_read(
    parts: Parts,
) -> None:
    keys = [f"u{number}" for number in range(IN_A_ROW)]
    for key in keys:
        parts.doforms.put_record(WEBSERVICE, key, {})
        parts.doforms.faults.add(path_contains=f"/{key}", status=404, times=None)
        parts.doforms.faults.add(path_contains=f"/id-{key}", status=500, times=None)
        assert await parts.alarms() == []
        await parts.keep(f"n-{key}", key)
        await look_twice(parts, f"n-{key}")
    [alarm] = await parts.alarms()
    assert (alarm.kind, alarm.subject) == (AlarmKind.RECORDS_NOT_READABLE, WEBSERVICE)
    assert "doForms lists the records of inspection but hands none of them out: 3 in a row" in alarm.text
    watch = parts.watch()
    await watch.look()
    assert len(await parts.alarms()) == 1
    await parts.keep("well", "r1")
    await ask(parts, "well")
    await watch.look()
    assert await parts.alarms() == []


async def test_a_backfilled_record_that_is_not_handed_out_is_not_looked_for_in_listings_of_another_time(
    parts: Parts,
) -> None:
    keys = [f"r{number}" for number in range(IN_A_ROW)]
    await parts.store.write(lambda c: record_ids.learn(c, "acme", {key: f"id-{key}" for key in keys}))
    parts.doforms.faults.add(path_contains="/submissions/", status=404, times=None)
    for key in keys:
        await parts.keep(f"backfill:{key}", key)
        told = await look_twice(parts, f"backfill:{key}")
    assert f"doForms lists the record {keys[-1]} (id id-{keys[-1]}) but does not hand it out" in told
    assert "submissions" not in parts.asked()
    assert [alarm.kind for alarm in await parts.alarms()] == [AlarmKind.RECORDS_NOT_READABLE]


async def test_a_backfilled_record_that_is_forbidden_pauses_only_if_listing_is_too(parts: Parts) -> None:
    parts.doforms.faults.add(path_contains="/submissions/", status=403, times=None)
    await parts.keep("backfill:r1")
    assert "does not hand it out" in await not_yet(parts, "backfill:r1")
    parts.doforms.faults.add(path_contains="/submissions", status=403, times=None)
    await parts.keep("backfill:r2", "r2")
    assert "is paused: doForms answered 403" in await not_yet(parts, "backfill:r2")


async def test_a_delete_of_a_record_that_was_never_fetched_has_its_learnt_id(parts: Parts) -> None:
    await parts.store.write(lambda c: record_ids.learn(c, "acme", {"r1": "id-r1"}))
    found = await parts.fetcher.records(await parts.keep("n1", event=Event.DELETE, fetch=False))
    assert found.record is not None
    assert (found.record.key, found.record.id, dict(found.record.fields), found.known) == ("r1", "id-r1", {}, False)


async def test_a_listing_that_nobody_waits_for_any_more_ends_with_the_desk(parts: Parts) -> None:
    await parts.keep("n1", "lost")
    await not_yet(parts)
    await parts.wait_is_over()
    parts.doforms.faults.add(path_contains="/submissions/lost", status=404)
    parts.doforms.faults.add(path_contains="/submissions", hang=True)
    asking: asyncio.Task[Any] = asyncio.create_task(ask(parts))
    await asyncio.sleep(0.1)
    await parts.fetcher.stop()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert parts.fetcher._finder._listings._running == set()


async def test_an_answer_that_is_wrapped_teaches_its_id_too(parts: Parts) -> None:
    document = {"submission": {"key": "r1", "id": 17, "fields": []}}
    parts.doforms.faults.add(status=200, body=json.dumps(document).encode())
    await parts.keep("n1")
    await ask(parts)
    assert await learnt(parts, "r1") == {"r1": "17"}


async def test_an_answer_to_an_id_teaches_that_of_the_records_own_key_too(parts: Parts) -> None:
    await parts.keep("n1", "id-r1")
    await ask(parts)
    assert await learnt(parts, "r1", "id-r1") == {"r1": "id-r1", "id-r1": "id-r1"}


async def test_an_answer_without_an_id_teaches_none(parts: Parts) -> None:
    parts.doforms.faults.add(status=200, body=b'{"key": "r1", "fields": []}')
    await parts.keep("n1")
    assert (await ask(parts)).record.id is None
    assert await learnt(parts, "r1") == {}
