"""Accounts of doForms that do not answer at all."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from gateway.calls.outage import IN_A_ROW, OutageDetector
from gateway.doforms.failures import DoformsError, NoAnswer
from gateway.models import AlarmKind, RecordKind
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES, Parts, whole
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOST = NoAnswer("GET https://doforms failed: connection refused")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def pause_after(outages: OutageDetector, clock: Clock, *, calls: int = 1) -> float:
    """Let so many calls go without an answer, one after the other; returns the pause that follows."""
    for _ in range(calls):
        clock.now += 1
        pause = await outages.unanswered("acme", clock.now, LOST)
    return pause


async def test_silence_pauses_an_account_longer_each_time_until_it_answers(parts: Parts) -> None:
    clock = Clock()
    outages = OutageDetector(parts.store, clock)
    assert await pause_after(outages, clock, calls=IN_A_ROW - 1) == 0.0
    assert [await pause_after(outages, clock) for _ in range(8)] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    outages.answered("acme")
    assert await pause_after(outages, clock, calls=IN_A_ROW - 1) == 0.0
    assert await pause_after(outages, clock) == 2.0


async def test_calls_that_were_under_way_when_the_pause_began_make_it_no_longer(parts: Parts) -> None:
    clock = Clock()
    outages = OutageDetector(parts.store, clock)
    began = clock.now
    assert await pause_after(outages, clock, calls=IN_A_ROW) == 2.0
    assert await outages.unanswered("acme", began, LOST) == 0.0
    assert await pause_after(outages, clock) == 4.0


async def test_a_person_hears_of_silence_that_lasts_until_doforms_has_answered(parts: Parts) -> None:
    clock = Clock()
    outages = OutageDetector(parts.store, clock)
    watch = parts.watch(outages)
    outages.answered("acme")
    await pause_after(outages, clock, calls=IN_A_ROW + 1)
    assert await parts.alarms() == []
    await pause_after(outages, clock)
    await watch.look()
    [alarm] = await parts.alarms()
    assert (alarm.kind, alarm.subject) == (AlarmKind.DOFORMS_SILENT, "acme")
    assert "7 in a row, the last one: GET https://doforms failed: connection refused" in alarm.text
    outages.answered("acme")
    await watch.look()
    assert await parts.alarms() == []


async def test_the_alarm_of_an_account_that_is_not_loaded_any_more_ends(parts: Parts, tmp_path: object) -> None:
    clock = Clock()
    outages = OutageDetector(parts.store, clock)
    await pause_after(outages, clock, calls=IN_A_ROW + 2)
    text = ROUTES.format(api=parts.doforms.api, webservice="north$$1", more="", text="").replace("acme$$1", "north$$1")
    parts.active.load(load_routes(tmp_path, text))  # type: ignore[arg-type]
    await parts.watch(outages).look()
    assert await parts.alarms() == []


async def test_a_person_hears_of_a_long_wait_that_doforms_asked_for_until_it_is_over(parts: Parts) -> None:
    clock = Clock()
    outages = OutageDetector(parts.store, clock)
    watch = parts.watch(outages)
    await outages.waits("acme", 60.0)
    assert await parts.alarms() == []
    await outages.waits("acme", 3600.0)
    outages.answered("acme")  # a call that was under way
    await watch.look()
    [alarm] = await parts.alarms()
    assert (alarm.kind, alarm.subject) == ("account waits", "acme")
    said = re.search("asked for none until (.{19}) UTC", alarm.text)
    assert said is not None
    left = datetime.fromisoformat(said[1]).replace(tzinfo=UTC) - datetime.now(UTC)
    assert left == pytest.approx(timedelta(hours=1), abs=timedelta(seconds=10))
    clock.now += 3600.0
    await watch.look()
    assert await parts.alarms() == []


async def test_after_calls_without_an_answer_the_next_one_waits_and_an_error_is_an_answer(parts: Parts) -> None:
    webservice = parts.active.webservice(WEBSERVICE)
    assert webservice is not None

    async def fetch() -> float:
        started = time.monotonic()
        with pytest.raises(DoformsError):
            await parts.calls.fetch(
                parts.active.account(webservice), webservice, RecordKind.SUBMISSION, "r1", take=whole
            )
        return time.monotonic() - started

    parts.doforms.faults.add("reset", times=IN_A_ROW - 1)
    parts.doforms.faults.add(status=503)
    parts.doforms.faults.add("reset", times=IN_A_ROW)
    parts.doforms.faults.add(status=503)
    waits = [await fetch() for _ in range(2 * IN_A_ROW + 1)]
    assert max(waits[:-1]) < 1.0
    assert 1.0 < waits[-1] < 5.0
