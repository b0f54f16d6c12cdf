"""What answers at `api` is not doForms: the web service waits at once, and a person hears where it leads."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from gateway.models import FetchState, ReportState
from gateway.pauses import WRONG_API_FOR, Cause
from gateway.reporting.reporter import Reporter
from gateway.retry import Deferred, GivenUp
from gateway.store.engine.transaction_time import from_store
from gateway.store.operator import pauses
from tests.store.test_reports import kept_with_outcome
from tests.support.keeping import WEBSERVICE
from tests.support.parts import Parts, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = b"\n <!DOCTYPE html><html><body>Please log in</body></html>"


async def ask(parts: Parts, key: str = "n1") -> str:
    kept = await parts.kept((await parts.row(key)).id)
    with pytest.raises((Deferred, GivenUp)) as raised:
        await parts.fetcher.records(kept)
    await parts.wait_is_over()
    return str(raised.value)


async def is_paused(parts: Parts) -> None:
    [pause] = await parts.store.read(pauses.list_pauses)
    assert (pause.name, pause.cause) == (WEBSERVICE, Cause.WRONG_API)
    until = from_store(pause.until)
    assert until is not None
    assert abs(until - datetime.now(UTC) - WRONG_API_FOR) < timedelta(seconds=30)
    [alarm] = await parts.alarms()
    assert (alarm.kind, alarm.subject) == ("webservice paused", WEBSERVICE)
    assert "Put `api`" in alarm.text


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_of_a_fetch_pauses_the_web_service_and_names_the_target(parts: Parts, status: int) -> None:
    parts.doforms.faults.add(status=status, headers={"Location": "https://new.example/api/v3/x"}, times=None)
    await parts.keep("n1")
    told = await ask(parts)
    assert f"doForms answered {status} for the submission r1, a redirect to 'https://new.example/api/v3/x'" in told
    await is_paused(parts)
    row = await parts.row("n1")
    assert (row.fetch_state, row.fetch_attempts, len(parts.doforms.requests)) == (FetchState.DUE, 0, 1)
    [alarm] = await parts.alarms()
    assert "https://new.example/api/v3/x" in alarm.text


async def test_web_service_goes_on_when_its_api_is_right_again(parts: Parts) -> None:
    parts.doforms.faults.add(status=301, headers={"Location": "/elsewhere"})
    await parts.keep("n1")
    await ask(parts)
    await parts.pauses.mended()
    kept = await parts.kept((await parts.row("n1")).id)
    assert (await parts.fetcher.records(kept)).known
    assert await parts.alarms() == []


@pytest.mark.parametrize("status", [200, 404])
async def test_pages_for_people_at_every_path_pause_the_web_service(parts: Parts, status: int) -> None:
    headers = {"Content-Type": "text/html"}
    parts.doforms.faults.add(status=status, body=PAGE, headers=headers, times=None)
    await parts.keep("n1")
    assert "could not be found yet" in await ask(parts)
    assert "`api` is not its address" in await ask(parts)
    await is_paused(parts)


async def test_paths_that_are_all_unknown_pause_the_web_service_soon(parts: Parts) -> None:
    parts.doforms.faults.add(status=404, body=b'{"error": "no such path"}', times=None)
    for number in range(3):
        await parts.keep(f"n{number}", f"r{number}")
        await ask(parts, f"n{number}")
    told = [await ask(parts, f"n{number}") for number in range(3)]
    assert ["`api` is not its address" in one for one in told] == [False, False, True]
    await is_paused(parts)


async def test_page_in_the_place_of_one_record_pauses_nothing(parts: Parts) -> None:
    parts.doforms.faults.add(path_contains="/submissions/", status=200, body=PAGE, times=None)
    await parts.keep("n1")
    await ask(parts)
    assert "does not hand it out" in await ask(parts)
    assert await parts.store.read(pauses.list_pauses) == []


async def test_page_in_the_place_of_a_dispatch_is_proved_by_a_listing(parts: Parts) -> None:
    parts.doforms.faults.add(status=200, body=PAGE, times=None)
    await parts.keep("n1", None, dispatch_key="d1")
    await ask(parts)
    assert "`api` is not its address" in await ask(parts)
    await is_paused(parts)


@pytest.mark.parametrize("key", [".", "..", "..;x"])
async def test_record_with_a_key_that_leads_elsewhere_is_given_up_without_a_call(parts: Parts, key: str) -> None:
    await parts.keep("n1", key)
    assert "refused: the key" in await ask(parts)
    assert (await parts.row("n1")).fetch_state == FetchState.GIVEN_UP
    assert parts.doforms.requests == []
    assert [alarm.kind for alarm in await parts.alarms()] == ["record not fetched"]


async def report(parts: Parts) -> str:
    """Report an outcome; returns how that stands when something has been tried."""
    parts.doforms.compose(WEBSERVICE, "create", submission_key="r1", key="n1")
    await kept_with_outcome(parts.store)
    reporter = Reporter(store=parts.store, active=parts.active, gate=parts.gate, pauses=parts.pauses)
    reporter.start()

    async def look() -> str | None:
        row = await parts.row("n1")
        return row.report_state if row.report_reason or row.report_state not in (ReportState.OPEN, "due") else None

    try:
        return await eventually(look)
    finally:
        await reporter.stop(time.monotonic())


async def test_redirect_of_a_report_pauses_the_web_service_and_the_report_waits(parts: Parts) -> None:
    parts.doforms.faults.add(method="PUT", status=307, headers={"Location": "https://new.example/"})
    assert await report(parts) == ReportState.DUE
    assert (await parts.row("n1")).report_attempts == 0
    await is_paused(parts)


async def test_report_that_a_page_calls_unknown_waits_where_the_listing_is_a_page_too(parts: Parts) -> None:
    parts.doforms.faults.add(status=404, body=PAGE, times=None)
    assert await report(parts) == ReportState.DUE
    await is_paused(parts)


async def test_report_that_a_page_calls_unknown_is_gone_where_the_listing_works(parts: Parts) -> None:
    parts.doforms.faults.add(method="PUT", status=404, body=PAGE)
    assert await report(parts) == ReportState.GONE
    assert await parts.alarms() == []


async def test_secret_in_what_is_no_record_is_masked(parts: Parts) -> None:
    parts.calls.mask.learn(["a-very-long-password"])
    body = b'{"error": "the password a-very-\\u006cong is not a-very-long-password"}'
    parts.doforms.faults.add(path_contains="/submissions/", status=200, body=body, times=None)
    await parts.keep("n1")
    told = await ask(parts)
    assert "a-very-long-password" not in told
    assert "********" in told
    await asyncio.sleep(0)
