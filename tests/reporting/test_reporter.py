"""Reporting: what each answer of doForms means, until it was heard or given up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Row, update
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from gateway.models import Outcome, ReportState
from gateway.pauses import Cause, Kind
from gateway.reporting.reporter import Reporter
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.operator import pauses
from gateway.store.tables import notifications
from tests.store.test_reports import kept_with_outcome
from tests.support.keeping import WEBSERVICE, keep, notification
from tests.support.parts import ROUTES, Parts, eventually
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def reporter(parts: Parts) -> AsyncIterator[Reporter]:
    made = Reporter(store=parts.store, active=parts.active, gate=parts.gate, pauses=parts.pauses)
    yield made
    await made.stop(time.monotonic())


async def reported(parts: Parts, reporter: Reporter, until: Callable[[Row[Any]], bool]) -> Row[Any]:
    """Keep a notification with its outcome, report it, and return its row once something holds of that."""
    parts.doforms.compose(WEBSERVICE, "create", submission_key="r1", key="n1")
    await kept_with_outcome(parts.store)
    reporter.start()
    return await became(parts, until)


async def became(parts: Parts, until: Callable[[Row[Any]], bool]) -> Row[Any]:
    async def look() -> Row[Any] | None:
        row = await parts.row("n1")
        return row if until(row) else None

    return await eventually(look)


def ended(row: Row[Any]) -> bool:
    return row.report_state not in (ReportState.OPEN, ReportState.DUE)


def tried(row: Row[Any]) -> bool:
    return row.report_attempts == 1


def put_off(row: Row[Any]) -> bool:
    return row.report_reason is not None and row.report_attempts == 0


async def make_due(parts: Parts) -> None:
    await parts.store.write(lambda connection: connection.execute(update(notifications).values(report_due_at=now())))


async def test_a_report_that_is_heard_ends_it(parts: Parts, reporter: Reporter) -> None:
    row = await reported(parts, reporter, ended)
    assert (row.report_state, row.report_due_at, row.report_reason) == (ReportState.REPORTED, None, None)
    assert row.reported_at is not None
    assert parts.doforms.notifications["n1"].puts == ["completed"]
    assert await parts.alarms() == []


@pytest.mark.parametrize(
    ("status", "state", "kinds"),
    [
        (404, ReportState.GONE, []),
        (410, ReportState.GONE, []),
        (400, ReportState.REFUSED, ["outcome not reported"]),
        (422, ReportState.REFUSED, ["outcome not reported"]),
    ],
)
async def test_what_doforms_does_not_know_or_refuses_is_not_told_again(
    parts: Parts, reporter: Reporter, status: int, state: ReportState, kinds: list[str]
) -> None:
    parts.doforms.faults.add(status=status, body=b"why")
    row = await reported(parts, reporter, ended)
    assert (row.report_state, row.report_due_at) == (state, None)
    assert row.report_reason == f"doForms answered {status} for the notification n1: why"
    assert [alarm.kind for alarm in await parts.alarms()] == kinds


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_password_pauses_the_web_service_and_keeps_the_report(
    parts: Parts, reporter: Reporter, status: int
) -> None:
    parts.doforms.faults.add(status=status)
    row = await reported(parts, reporter, put_off)
    assert row.report_state == ReportState.DUE
    assert [(alarm.kind, alarm.subject) for alarm in await parts.alarms()] == [("webservice paused", WEBSERVICE)]
    await asyncio.sleep(0.05)
    assert parts.asked() == ["n1"]
    await parts.pauses.resume(Kind.WEBSERVICE, WEBSERVICE)
    reporter.wake()
    assert (await became(parts, ended)).report_state == ReportState.REPORTED


async def test_a_used_up_quota_pauses_the_web_service(parts: Parts, reporter: Reporter) -> None:
    parts.doforms.faults.add(status=403, body=b"Over quota")
    row = await reported(parts, reporter, put_off)
    assert row.report_state == ReportState.DUE
    assert [pause.cause for pause in await parts.store.read(pauses.list_pauses)] == [Cause.QUOTA]


@pytest.mark.parametrize("status", [500, 503])
async def test_what_may_pass_is_told_again_by_report_retry(parts: Parts, reporter: Reporter, status: int) -> None:
    parts.doforms.faults.add(status=status)
    row = await reported(parts, reporter, tried)
    assert row.report_state == ReportState.DUE
    assert 7 * SECOND < row.report_due_at - now() < 13 * SECOND
    assert f"answered {status}" in row.report_reason
    assert await parts.alarms() == []


async def test_retry_after_puts_a_report_off(parts: Parts, reporter: Reporter) -> None:
    parts.doforms.faults.add(status=503, headers={"Retry-After": "120"})
    row = await reported(parts, reporter, tried)
    assert row.report_due_at - now() > 115 * SECOND


async def test_too_many_calls_are_no_attempt_to_report(parts: Parts, reporter: Reporter) -> None:
    parts.doforms.faults.add(status=429, headers={"Retry-After": "120"})
    row = await reported(parts, reporter, put_off)
    assert row.report_state == ReportState.DUE
    assert row.report_due_at - now() > 115 * SECOND


async def test_a_report_is_given_up_by_report_retry_with_an_alarm(parts: Parts, reporter: Reporter) -> None:
    parts.doforms.faults.add(status=503, times=2)
    await reported(parts, reporter, tried)
    await make_due(parts)
    reporter.wake()
    row = await became(parts, ended)
    assert (row.report_state, row.report_due_at) == (ReportState.GIVEN_UP, None)
    assert row.report_reason.startswith("given up after 2 attempts: doForms answered 503")
    assert [(alarm.kind, alarm.subject) for alarm in await parts.alarms()] == [("outcome not reported", WEBSERVICE)]


async def test_a_report_that_worked_ends_the_pause_it_probed(parts: Parts, reporter: Reporter) -> None:
    await parts.pauses.pause(
        Kind.WEBSERVICE, WEBSERVICE, "was refused", cause=Cause.UNAUTHORISED, until=datetime.now(UTC)
    )
    await reported(parts, reporter, ended)

    async def ended_too() -> bool:
        return not await parts.store.read(pauses.list_pauses)

    await eventually(ended_too)
    assert await parts.alarms() == []


async def without_webservice(parts: Parts, reporter: Reporter, tmp_path: Path) -> Row[Any]:
    text = ROUTES.format(api=parts.doforms.api, webservice="another$$1", more="", text="")
    parts.active.load(load_routes(tmp_path, text))
    return await reported(parts, reporter, lambda row: row.report_reason is not None)


async def test_a_report_of_a_web_service_that_is_not_loaded_waits(
    parts: Parts, reporter: Reporter, tmp_path: Path
) -> None:
    row = await without_webservice(parts, reporter, tmp_path)
    assert row.report_state == ReportState.DUE
    assert "is not in the routes file" in row.report_reason
    assert parts.asked() == []


async def test_a_wait_for_a_web_service_spends_no_attempt(parts: Parts, reporter: Reporter, tmp_path: Path) -> None:
    assert (await without_webservice(parts, reporter, tmp_path)).report_attempts == 0


async def test_a_report_that_waits_does_not_hold_others_back(parts: Parts, reporter: Reporter) -> None:
    stranger = notification("n0", record="r0", webservice_id="stranger$$1")
    await parts.store.submit(keep(stranger, to=(), outcome=Outcome.FAILED))
    await make_due(parts)
    row = await reported(parts, reporter, ended)
    assert row.report_state == ReportState.REPORTED


async def test_a_failed_report_is_logged_with_its_notification(parts: Parts, reporter: Reporter) -> None:
    parts.doforms.faults.add(status=503)
    with capture_logs(processors=[merge_contextvars]) as logged:
        await reported(parts, reporter, tried)
    assert [line["notification"] for line in logged if line["event"] == "report failed"] == ["n1"]


async def test_a_report_whose_end_could_not_be_noted_is_held_no_longer(parts: Parts, reporter: Reporter) -> None:
    refuse = "CREATE TRIGGER refuse BEFORE UPDATE OF reported_at ON notifications BEGIN SELECT RAISE(ABORT, 'no'); END"
    await parts.store.write(lambda connection: connection.exec_driver_sql(refuse))
    with capture_logs() as logged:
        row = await reported(parts, reporter, lambda row: row.report_holder is not None)
        for _ in range(100):
            if any("broke off" in line["event"] for line in logged):
                break
            await asyncio.sleep(0.02)
    assert row.report_state == ReportState.DUE
    assert len(reporter._leases) == 0
