"""Alarms in a running gateway: written with what else happens, logged once that is committed."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from gateway.alarms.book import AlarmBook, AlarmStep
from gateway.models import AlarmKind
from gateway.store.store import Store
from gateway.store.tables import alarms as table
from gateway.store.work import alarms

pytestmark = pytest.mark.asyncio(loop_scope="module")

KIND, SUBJECT = AlarmKind.WRONG_PATH, "webhook"


async def test_a_new_alarm_is_logged_and_one_that_is_met_again_is_counted(store: Store) -> None:
    book = AlarmBook(store)
    with capture_logs() as logged:
        await book.raise_alarm(KIND, SUBJECT, "first")
        await book.raise_alarm(KIND, SUBJECT, "second", times=3)
    assert [(line["event"], line["text"]) for line in logged] == [("alarm raised", "first")]
    (alarm,) = await store.read(alarms.list_alarms)
    assert (alarm.text, alarm.times) == ("second", 4)


async def test_an_alarm_that_ends_is_logged_and_one_that_was_not_raised_is_not(store: Store) -> None:
    book = AlarmBook(store)
    await book.raise_alarm(KIND, SUBJECT, "first")
    with capture_logs() as logged:
        await book.clear(KIND, SUBJECT)
        await book.clear(KIND, SUBJECT)
    assert [line["event"] for line in logged] == ["alarm cleared"]
    assert await store.read(alarms.list_alarms) == []


async def test_a_step_that_fails_raises_nothing_and_logs_nothing(store: Store) -> None:
    def fails(step: AlarmStep) -> None:
        step.raise_alarm(KIND, SUBJECT, "told too early")
        raise RuntimeError("the disk is full")

    with capture_logs() as logged, pytest.raises(RuntimeError):
        await AlarmBook(store).write(fails)
    assert [line for line in logged if line["event"].startswith("alarm")] == []
    assert await store.read(lambda connection: connection.execute(select(table)).all()) == []


async def test_a_step_gives_back_what_it_found_and_logs_each_alarm_that_it_touched(store: Store) -> None:
    book = AlarmBook(store)
    await book.raise_alarm(KIND, SUBJECT, "stands")

    def work(step: AlarmStep) -> int:
        step.clear(KIND, SUBJECT)
        step.raise_alarm(AlarmKind.CLOCK, "store", "leapt")
        return 7

    with capture_logs() as logged:
        assert await book.write(work) == 7
    assert [(line["event"], line["kind"]) for line in logged] == [("alarm raised", "clock"), ("alarm cleared", KIND)]
