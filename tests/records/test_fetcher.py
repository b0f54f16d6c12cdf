"""Fetching: once for each notification, in order of arrival per record, pinned, retried by settings of its own."""

from __future__ import annotations

import asyncio
import gc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from gateway.models import Event, FetchState, RecordKind
from gateway.pauses import Cause, Kind
from gateway.records.fetcher import Records
from gateway.records.held import HeldRecords
from gateway.retry import Deferred, GivenUp
from gateway.store.engine.transaction_time import SECOND, from_store, now
from gateway.store.operator import pauses
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES, Parts
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def put_off(parts: Parts, key: str = "n1") -> Deferred:
    with pytest.raises(Deferred) as raised:
        await parts.fetcher.records(await parts.kept((await parts.row(key)).id))
    return raised.value


async def test_a_record_is_fetched_once_however_many_deliveries_ask_for_it(parts: Parts) -> None:
    kept = await parts.keep("n1")
    found = await asyncio.gather(*(parts.fetcher.records(kept) for _ in range(5)))
    assert {one.record.fields["site"] for one in found} == {"Dock"}
    await parts.fetcher.records(kept)
    assert parts.asked() == ["r1"]


async def test_what_was_fetched_is_pinned_and_does_not_change_any_more(parts: Parts) -> None:
    kept = await parts.keep("n1")
    await parts.fetcher.records(kept)
    parts.doforms.put_record(WEBSERVICE, "r1", {"site": "Pier"})
    found = await parts.fetcher.records(await parts.kept(kept.id))
    assert (found.record.fields["site"], found.known) == ("Dock", True)
    assert (await parts.row("n1")).fetch_state == FetchState.PINNED


async def test_each_notification_fetches_for_itself(parts: Parts) -> None:
    first, second = await parts.keep("n1"), await parts.keep("n2")
    await parts.fetcher.records(first)
    parts.doforms.put_record(WEBSERVICE, "r1", {"site": "Pier"})
    found = await parts.fetcher.records(second)
    assert found.record.fields["site"] == "Pier"
    assert parts.asked() == ["r1", "id-r1"]


async def test_an_earlier_notification_of_the_record_is_fetched_first(parts: Parts) -> None:
    await parts.keep("n1")
    second = await parts.keep("n2")
    await parts.fetcher.records(second)
    assert (await parts.row("n1")).fetch_state == FetchState.PINNED
    assert parts.asked() == ["r1", "id-r1"]


async def test_a_failed_earlier_fetch_holds_back_the_same_record_only(parts: Parts) -> None:
    parts.doforms.put_record(WEBSERVICE, "r2", {"site": "Mill"})
    parts.doforms.faults.add(path_contains="/r1", status=503)
    await parts.keep("n1")
    await parts.keep("n2")
    other = await parts.keep("n3", "r2")
    await put_off(parts, "n2")
    assert (await parts.row("n2")).fetch_attempts == 0
    assert (await parts.fetcher.records(other)).record.fields["site"] == "Mill"
    assert parts.asked() == ["r1", "r2"]


async def test_a_failed_fetch_is_put_off_by_its_own_settings_and_not_tried_before(parts: Parts) -> None:
    parts.doforms.faults.add(status=503, body=b"down")
    await parts.keep("n1")
    first = await put_off(parts)
    assert "the record could not be fetched: doForms answered 503" in str(first)
    assert 7 * SECOND < first.until - now() < 13 * SECOND
    assert (await put_off(parts)).until == first.until
    row = await parts.row("n1")
    assert (row.fetch_state, row.fetch_attempts, row.fetch_reason) == (FetchState.DUE, 1, str(first))
    assert 7 * SECOND < row.fetch_spent < 15 * SECOND  # the wait, and the call before it
    assert parts.asked() == ["r1"]


async def test_retry_after_puts_a_fetch_off(parts: Parts) -> None:
    parts.doforms.faults.add(status=503, headers={"Retry-After": "120"})
    await parts.keep("n1")
    assert (await put_off(parts)).until - now() > 119 * SECOND


async def test_a_long_wait_after_too_many_calls_puts_off_the_others_of_the_account_without_a_call(parts: Parts) -> None:
    parts.doforms.put_record(WEBSERVICE, "r2", {"site": "Mill"})
    parts.doforms.faults.add(status=429, headers={"Retry-After": "120"})
    await parts.keep("n1")
    await put_off(parts)
    await parts.keep("n2", "r2")
    other = await put_off(parts, "n2")
    assert other.until - now() > 115 * SECOND
    assert (await put_off(parts, "n2")).until >= other.until + SECOND // 1000  # one after the other: 60,000 a minute
    assert "waits for its account acme: doForms answered 429 to this account" in str(other)
    assert [(await parts.row(key)).fetch_attempts for key in ("n1", "n2")] == [0, 0]
    assert parts.asked() == ["r1"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "Internal error"}'])
async def test_a_success_without_a_record_in_it_is_not_pinned(parts: Parts, body: bytes) -> None:
    parts.doforms.faults.add(status=200, body=body)
    await parts.keep("n1")
    assert "instead of a record" in str(await put_off(parts)) or "no record" in str(await put_off(parts))
    assert (await parts.row("n1")).fetch_state == FetchState.DUE


async def given_up(parts: Parts, tmp_path: Path) -> str:
    """Let the first notification's fetch fail for good."""
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text="{{ record.fields.site }}")
    parts.active.load(load_routes(tmp_path, text.replace("attempts = 2", "attempts = 1")))
    parts.doforms.faults.add(path_contains="/r1", status=404, times=2)
    parts.doforms.faults.add(path_contains="/submissions", status=200, body=b"[]")
    kept = await parts.keep("n1")
    with pytest.raises(Deferred):
        await parts.fetcher.records(kept)
    await parts.wait_is_over()
    with pytest.raises(GivenUp) as raised:
        await parts.fetcher.records(kept)
    return str(raised.value)


async def test_a_fetch_that_is_given_up_says_so_raises_an_alarm_and_is_not_tried_again(
    parts: Parts, tmp_path: Path
) -> None:
    reason = await given_up(parts, tmp_path)
    assert reason.startswith("the record could not be fetched: given up after 1 attempt: doForms answered 404")
    assert (await parts.row("n1")).fetch_state == FetchState.GIVEN_UP
    assert [(alarm.kind, alarm.subject) for alarm in await parts.alarms()] == [("record not fetched", WEBSERVICE)]
    with pytest.raises(GivenUp) as again:
        await parts.fetcher.records(await parts.kept((await parts.row("n1")).id))
    assert str(again.value) == reason
    assert parts.asked() == ["r1", "r1", "submissions"]


async def test_a_later_notification_goes_on_after_one_that_was_given_up(parts: Parts, tmp_path: Path) -> None:
    await given_up(parts, tmp_path)
    later = await parts.keep("n2")
    assert (await parts.fetcher.records(later)).record.fields["site"] == "Dock"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_password_pauses_the_web_service_with_an_alarm_and_spends_no_attempt(
    parts: Parts, status: int
) -> None:
    parts.doforms.faults.add(status=status, times=None)
    await parts.keep("n1")
    await put_off(parts)
    assert "is paused: doForms answered" in str(await put_off(parts))
    assert parts.asked() == (["r1"] if status == 401 else ["r1", "submissions"])  # a record alone can be forbidden
    assert (await parts.row("n1")).fetch_attempts == 0
    [alarm] = await parts.alarms()
    assert (alarm.kind, alarm.subject) == ("webservice paused", WEBSERVICE)


async def test_a_used_up_quota_pauses_the_web_service_until_midnight_utc(parts: Parts) -> None:
    parts.doforms.faults.add(status=400, body=b"Daily web service quota exceeded.")
    await parts.keep("n1")
    await put_off(parts)
    [pause] = await parts.store.read(pauses.list_pauses)
    until = from_store(pause.until)
    assert until is not None
    assert (pause.cause, until.hour, until.minute) == (Cause.QUOTA, 0, 0)
    assert timedelta() < until - datetime.now(UTC) <= timedelta(days=1)


async def test_the_call_that_works_after_a_pause_ends_it_and_its_alarm(parts: Parts) -> None:
    kept = await parts.keep("n1")
    over = datetime.now(UTC) - timedelta(seconds=1)
    await parts.pauses.pause(Kind.WEBSERVICE, WEBSERVICE, "was refused", cause=Cause.UNAUTHORISED, until=over)
    await parts.fetcher.records(kept)
    assert await parts.store.read(pauses.list_pauses) == []
    assert await parts.alarms() == []


@pytest.mark.parametrize(
    ("webservice", "told"),
    [("stranger$$1", "is not in the routes file"), ("acme$$1$$Published$$3", "has no password in the routes file")],
)
async def test_without_the_web_services_password_a_fetch_waits(parts: Parts, webservice: str, told: str) -> None:
    await parts.keep("n1", webservice_id=webservice)
    assert f"the web service {webservice!r} {told}" in str(await put_off(parts))
    assert parts.asked() == []


async def test_submission_and_dispatch_are_fetched_where_both_are_mentioned(parts: Parts, tmp_path: Path) -> None:
    text = "{{ submission.fields.site }} {{ dispatch.fields.who }}"
    routes = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text=text)
    parts.active.load(load_routes(tmp_path, routes))
    parts.doforms.put_record(WEBSERVICE, "d1", {"who": "Ada"}, kind="dispatch")
    found = await parts.fetcher.records(await parts.keep("n1", dispatch_key="d1", event=Event.STATUS))
    assert {kind: dict(one.fields) for kind, one in found.by_kind.items()} == {
        RecordKind.SUBMISSION: {"site": "Dock"},
        RecordKind.DISPATCH: {"who": "Ada"},
    }
    assert found.record is found.by_kind[RecordKind.DISPATCH]


async def test_for_a_delete_nothing_is_fetched_and_the_record_is_the_last_one_pinned(parts: Parts) -> None:
    for key, site in (("n1", "Dock"), ("n2", "Pier")):
        parts.doforms.put_record(WEBSERVICE, "r1", {"site": site})
        await parts.fetcher.records(await parts.keep(key))
    parts.doforms.requests.clear()
    deleted = await parts.keep("n3", event=Event.DELETE, fetch=False)
    parts.doforms.put_record(WEBSERVICE, "r1", {"site": "Mill"})
    await parts.fetcher.records(await parts.keep("n4"))
    found = await parts.fetcher.records(deleted)
    assert (found.record.fields["site"], found.known) == ("Pier", True)
    assert parts.asked() == ["id-r1"]


async def test_a_delete_of_a_record_that_was_never_fetched_knows_nothing(parts: Parts) -> None:
    found = await parts.fetcher.records(await parts.keep("n1", event=Event.DELETE, fetch=False))
    assert (found.record, found.known) == (None, False)
    found = await parts.fetcher.records(await parts.keep("n2", None, event=Event.DELETE, fetch=False))
    assert (found.record, found.known) == (None, False)


async def test_an_urgent_fetch_goes_before_others(parts: Parts, tmp_path: Path) -> None:
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text="{{ record.fields.site }}")
    parts.active.load(load_routes(tmp_path, text.replace("[webservices.i", "max_in_flight = 1\n[webservices.i")))
    parts.doforms.faults.add(status=None, delay=0.1)
    kept = []
    for key in ("first", "usual", "urgent"):
        parts.doforms.put_record(WEBSERVICE, key, {})
        kept.append(await parts.keep(f"n-{key}", key))
    asking = [asyncio.create_task(parts.fetcher.records(kept[0]))]
    await asyncio.sleep(0.05)
    asking += [asyncio.create_task(parts.fetcher.records(one, urgent=one is kept[2])) for one in kept[1:]]
    await asyncio.gather(*asking)
    assert parts.asked() == ["first", "urgent", "usual"]


async def test_the_log_of_a_failed_fetch_names_the_notification(parts: Parts) -> None:
    parts.doforms.faults.add(status=503)
    await parts.keep("n1")
    with capture_logs(processors=[merge_contextvars]) as logged:
        await put_off(parts)
    assert [line["notification"] for line in logged if line["event"] == "fetch failed"] == ["n1"]


async def test_a_record_that_only_routes_loaded_later_need_is_fetched_then(parts: Parts, tmp_path: Path) -> None:
    parts.doforms.put_record(WEBSERVICE, "d1", {"state": "open"}, kind="dispatch")
    kept = await parts.keep("n1", dispatch_key="d1")
    await parts.fetcher.records(kept)
    both = "{{ record.fields.site }} {{ dispatch.fields.state }}"
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text=both)
    parts.active.load(load_routes(tmp_path, text))
    found = await parts.fetcher.records(await parts.kept(kept.id))
    assert found.by_kind[RecordKind.DISPATCH].fields["state"] == "open"
    assert found.record.fields["site"] == "Dock"
    assert parts.asked() == ["r1", "d1"]


def hold_at_most(parts: Parts, most: int) -> None:
    parts.fetcher._held = parts.fetcher._finder._held = HeldRecords(most)


async def test_large_records_are_held_within_a_bound_and_the_next_is_put_off(parts: Parts) -> None:
    hold_at_most(parts, 250_000)
    for name in ("r1", "r2", "r3"):
        parts.doforms.put_record(WEBSERVICE, name, {"site": "Dock " * 20_000})
    first = await parts.fetcher.records(await parts.keep("n1", "r1"))
    second = await parts.fetcher.records(await parts.keep("n2", "r2"))
    assert first.are_large
    third = await parts.keep("n3", "r3")
    found = await parts.fetcher.records(third)  # what was not fetched yet has no size: it is pinned, and then counts
    assert parts.fetcher._held.has_room(1) is False
    for kept in (await parts.kept(third.id), await parts.keep("n4", "r1")):  # nor is another one fetched
        with pytest.raises(Deferred, match="less of large records") as raised:
            await parts.fetcher.records(kept)
        assert raised.value.in_line
    assert parts.asked() == ["r1", "r2", "r3"]
    del first, second, found
    gc.collect()
    assert (await parts.fetcher.records(await parts.kept(third.id))).record is not None


async def test_of_large_records_that_are_asked_for_at_once_no_more_are_read_than_there_is_room_for(
    parts: Parts,
) -> None:
    ids = []
    for number in range(8):
        parts.doforms.put_record(WEBSERVICE, f"r{number}", {"site": "Dock " * 20_000})
        ids.append((kept := await parts.keep(f"n{number}", f"r{number}")).id)
        await parts.fetcher.records(kept)
    hold_at_most(parts, 250_000)
    at_once = [parts.fetcher.records(await parts.kept(id_)) for id_ in ids]
    found = await asyncio.gather(*at_once, return_exceptions=True)
    assert sum(isinstance(one, Records) for one in found) == 2
    assert all(isinstance(one, Deferred) and one.in_line for one in found if not isinstance(one, Records))


@pytest.mark.parametrize("body", [b'{"key": "another", "x": "%s"}', b'{"error": "%s"}', b'{"key": "r1", "x": ["%s'])
async def test_large_answer_that_is_no_record_is_held_by_nobody(parts: Parts, body: bytes) -> None:
    parts.doforms.faults.add(status=200, body=body % (b"y" * 100_000), call="record", times=None)
    hold_at_most(parts, 1_000_000)
    gc.disable()
    try:
        for number in range(3):
            with pytest.raises((Deferred, GivenUp)):
                await parts.fetcher.records(await parts.keep(f"n{number}"))
        assert parts.fetcher._held._bytes == 0
    finally:
        gc.enable()


async def test_small_records_are_not_counted(parts: Parts) -> None:
    hold_at_most(parts, 1)
    kept = await parts.keep("n1")
    found = [await parts.fetcher.records(kept) for _ in range(3)]
    assert not any(one.are_large or one.held for one in found)


async def test_a_record_that_is_too_large_is_given_up_at_once(parts: Parts) -> None:
    parts.doforms.put_record(WEBSERVICE, "r1", [{"name": "s" * 2000, "fields": [{"name": "q", "text": "x"}]}])
    kept = await parts.keep("n1")
    with pytest.raises(GivenUp, match=r"given up at once: the submission of \d+ bytes is more than the gateway takes"):
        await parts.fetcher.records(kept)
    assert (await parts.row("n1")).fetch_state == FetchState.GIVEN_UP
