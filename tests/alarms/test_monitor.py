"""Alarms: raised once for a cause however often it is met, and cleared when it ends, whoever ended it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, update
from structlog.testing import capture_logs

from gateway.alarms.monitor import UNAUTHORISED_FOR, AlarmMonitor
from gateway.delivery.orphans import DeliveryRef
from gateway.models import AlarmKind, DeliveryState, FetchState, ReportState
from gateway.pauses import Cause, Kind
from gateway.retry import Deferred, GivenUp
from gateway.store.engine.transaction_time import now, to_store
from gateway.store.tables import alarms as alarm_rows
from gateway.store.tables import deliveries, notifications
from gateway.store.work import alarms, fetches
from gateway.store.work.queue import Settlement
from tests.support.keeping import WEBSERVICE, keep, notification
from tests.support.parts import ROUTES, TEXT, Parts
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def watch(parts: Parts) -> AlarmMonitor:
    return parts.watch()


async def set_to(parts: Parts, table: Table, **values: Any) -> None:
    await parts.store.write(lambda connection: connection.execute(update(table).values(**values)))


async def kinds(parts: Parts) -> list[tuple[str, str, int]]:
    return sorted((one.kind, one.subject, one.times) for one in await parts.alarms())


async def give_up(parts: Parts, key: str) -> None:
    """Give a notification's record up and let its delivery die, as a worker does."""
    kept = await parts.keep(key, f"record of {key}")
    with pytest.raises((Deferred, GivenUp)):  # the first look may be followed by one after a moment
        await parts.fetcher.records(kept)
    await parts.wait_is_over()
    with pytest.raises(GivenUp):
        await parts.fetcher.records(kept)
    claimed = await parts.store.claim({"table": 9})
    dead = {"attempt_id": None, "state": DeliveryState.DEAD, "reason": "its record could not be fetched"}
    await parts.store.settle([Settlement(due=due, **dead) for due in claimed])  # type: ignore[arg-type]


async def test_a_night_without_doforms_is_one_alarm_of_its_web_service_with_a_count(
    parts: Parts, tmp_path: Path, watch: AlarmMonitor
) -> None:
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text=TEXT)
    parts.active.load(load_routes(tmp_path, text.replace("attempts = 2", "attempts = 1")))
    parts.doforms.faults.add(method="GET", status=503, times=None)
    with capture_logs() as logged:
        for number in range(3):
            await give_up(parts, f"n{number}")
    assert await kinds(parts) == [("record not fetched", WEBSERVICE, 3)]
    assert [line["subject"] for line in logged if line["event"] == "alarm raised"] == [WEBSERVICE]
    await watch.look()
    assert await kinds(parts) == [("record not fetched", WEBSERVICE, 3)]


async def test_it_is_cleared_when_none_of_the_deliveries_is_dead_for_it_any_more(
    parts: Parts, tmp_path: Path, watch: AlarmMonitor
) -> None:
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text=TEXT)
    parts.active.load(load_routes(tmp_path, text.replace("attempts = 2", "attempts = 1")))
    parts.doforms.faults.add(method="GET", status=404, times=None)
    await give_up(parts, "n1")
    await set_to(parts, deliveries, state=DeliveryState.DROPPED.value)
    await watch.look()
    assert await kinds(parts) == []


async def test_replaying_what_was_not_fetched_clears_it_too(parts: Parts, watch: AlarmMonitor) -> None:
    kept = await parts.keep("n1")
    await parts.store.write(lambda c: alarms.raise_alarm(c, "record not fetched", WEBSERVICE, "gone"))
    await set_to(parts, deliveries, state=DeliveryState.DEAD.value)
    await parts.store.write(
        lambda c: fetches.note_failed(c, kept.id, state=FetchState.GIVEN_UP, reason="gone", spent=0)
    )
    await watch.look()
    assert len(await kinds(parts)) == 1
    await set_to(parts, notifications, fetch_state=FetchState.DUE.value)
    await watch.look()
    assert await kinds(parts) == []


@pytest.mark.parametrize("state", [ReportState.REFUSED, ReportState.GIVEN_UP])
async def test_an_outcome_that_was_not_reported_is_an_alarm_until_it_is_or_its_notification_is_gone(
    parts: Parts, watch: AlarmMonitor, state: ReportState
) -> None:
    await parts.keep("n1")
    await parts.store.write(lambda c: alarms.raise_alarm(c, "outcome not reported", WEBSERVICE, "no"))
    await set_to(parts, notifications, report_state=state.value)
    await watch.look()
    assert len(await kinds(parts)) == 1
    await set_to(parts, notifications, report_state=ReportState.REPORTED.value)
    await watch.look()
    assert await kinds(parts) == []


async def test_unmatched_notifications_are_an_alarm_until_they_were_matched(parts: Parts, watch: AlarmMonitor) -> None:
    for key in ("n1", "n2"):
        await parts.store.submit(keep(notification(key), to=(), matched=False, alarm="no route"))
    await watch.look()
    assert await kinds(parts) == [("unmatched", WEBSERVICE, 2)]
    await set_to(parts, notifications, matched=True)
    await watch.look()
    assert await kinds(parts) == []


async def test_wrong_secrets_are_an_alarm_until_there_were_none_for_an_hour(parts: Parts, watch: AlarmMonitor) -> None:
    await parts.store.write(lambda c: alarms.raise_alarm(c, "unauthorised", "webhook", "somebody guesses"))
    await watch.look()
    assert len(await kinds(parts)) == 1
    await set_to(parts, alarm_rows, last_at=to_store(datetime.now(UTC) - UNAUTHORISED_FOR - timedelta(minutes=1)))
    await watch.look()
    assert await kinds(parts) == []


async def test_a_quota_that_is_over_ends_its_pause_and_its_alarm_though_nobody_called(
    parts: Parts, watch: AlarmMonitor
) -> None:
    over = datetime.now(UTC) - timedelta(seconds=1)
    await parts.pauses.pause(Kind.WEBSERVICE, WEBSERVICE, "used up", cause=Cause.QUOTA, until=over)
    await watch.look()
    assert await kinds(parts) == []
    assert not parts.pauses.probing(Kind.WEBSERVICE, WEBSERVICE)


async def test_what_only_calls_in_its_name_can_end_has_ended_when_a_web_service_is_not_loaded_any_more(
    parts: Parts, tmp_path: Path, watch: AlarmMonitor
) -> None:
    webservice = parts.active.webservice(WEBSERVICE)
    assert webservice is not None
    for key in ("r1", "r2", "r3"):
        await parts.fetcher.unreadable.was_only_listed(webservice, key, ValueError("404"))
    for kind in (AlarmKind.NOT_RECONCILED, AlarmKind.LISTING_TOO_SHORT):
        await parts.store.write(lambda c, kind=kind: alarms.raise_alarm(c, kind, WEBSERVICE, "broke off"))  # type: ignore[misc]
    await watch.look(thoroughly=True)
    assert await kinds(parts) == [
        (kind, WEBSERVICE, 1)
        for kind in (AlarmKind.LISTING_TOO_SHORT, AlarmKind.NOT_RECONCILED, AlarmKind.RECORDS_NOT_READABLE)
    ]
    text = ROUTES.format(api=parts.doforms.api, webservice="acme$$1$$Published$$other", more="", text=TEXT)
    parts.active.load(load_routes(tmp_path, text))
    await watch.look(thoroughly=True)
    assert await kinds(parts) == []


async def test_an_alarm_that_comes_again_after_it_was_cleared_is_a_new_one(parts: Parts) -> None:
    for _ in range(2):
        assert await parts.store.write(lambda c: alarms.raise_alarm(c, "unauthorised", "webhook", "again"))
        assert await parts.store.write(lambda c: alarms.clear_alarm(c, "unauthorised", "webhook"))
    assert len(await parts.store.read(lambda c: alarms.list_alarms(c, cleared=True))) == 2


async def test_what_waits_for_a_way_that_is_not_loaded_is_found_by_a_thorough_look_and_goes_on_once_it_is(
    parts: Parts, tmp_path: Path, watch: AlarmMonitor
) -> None:
    await parts.store.submit(keep(notification("n1"), to=("table",)))
    await parts.store.submit(keep(notification("n2"), to=("attic",)))
    await watch.look(thoroughly=True)
    assert await kinds(parts) == [
        ("not loaded", "route/attic to attic", 1),
    ]
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text=TEXT)
    parts.active.load(load_routes(tmp_path, text.replace('name = "route"', 'name = "other"')))
    await watch.look()
    assert [subject for _, subject, _ in await kinds(parts)] == ["route/attic to attic", "route/table to table"]
    parts.active.load(load_routes(tmp_path, text))
    await set_to(parts, deliveries, state=DeliveryState.DROPPED.value, in_lane=False)
    await watch.look()
    assert await kinds(parts) == []


async def test_a_delivery_whose_way_is_loaded_again_is_due_at_once(parts: Parts, watch: AlarmMonitor) -> None:
    reason = "the delivery table of the route route to table is not in the routes file"
    await parts.store.submit(keep(notification("n1"), to=("table",)))
    await parts.store.write(lambda c: alarms.raise_alarm(c, "not loaded", "route/table to table", reason))
    [due] = await parts.store.claim({"table": 1})
    later = now() + 60_000_000
    await parts.store.settle([DeliveryRef("route", "table", "table").wait(due, later)])
    assert await parts.store.claim({"table": 1}) == []
    await watch.look()
    assert [one.name for one in await parts.store.claim({"table": 1})] == ["table"]
    assert await kinds(parts) == []
