"""What integrators of doForms have met, played by the simulated doForms to one real gateway: see docs/protocol.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.doforms.simulator import AccountLimit, Conditions, Seen
from tests.end_to_end.conftest import FORM, OTHER, World, made_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTE = """
[[routes]]
name = "mirrored"
form = ["Inspection", "Other"]
mode = "delayed"
events = ["create", "update", "delete"]
[[routes.deliver]]
to = "table"
table = "state"
write = "mirror"
key = ["record"]
columns = { record = "{{ record.key }}", score = "{{ record.fields.score }}" }
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder: Path = tmp_path_factory.mktemp("mishaps")
    async with made_world(folder) as world:
        with world.running(ROUTE):
            yield world


@pytest.fixture
def doforms(running: World) -> Iterator[World]:
    """The world, in which doForms is well again after each test."""
    yield running
    well = Conditions()
    for one in fields(well):
        setattr(running.doforms.conditions, one.name, getattr(well, one.name))
    running.doforms.faults.clear()


async def completed(world: World, *seen: Seen) -> None:
    await world.doforms.until(lambda: all(one.belief == "completed" for one in seen), timeout=20)


def score(world: World, key: str) -> int | None:
    """Return what has arrived of a record."""
    found = world.rows(f"SELECT score FROM state WHERE record = '{key}'")
    return found[0][0] if found else None


async def test_a_record_that_cannot_be_read_by_the_key_of_its_notification_is_found_by_its_id(doforms: World) -> None:
    doforms.doforms.conditions.unreadable = None
    await completed(doforms, await doforms.doforms.create(FORM, {"score": 1}, key="by-id"))
    assert score(doforms, "by-id") == 1


async def test_a_record_that_can_be_read_a_moment_after_its_notification_is_delivered(doforms: World) -> None:
    doforms.doforms.conditions.unreadable = 0.7
    await completed(doforms, await doforms.doforms.create(FORM, {"score": 2}, key="late-read"))
    assert score(doforms, "late-read") == 2


async def test_a_record_is_found_though_the_clock_of_its_notification_is_hours_off(doforms: World) -> None:
    doforms.doforms.conditions.change(unreadable=None, created_off=-3 * 3600.0)
    await completed(doforms, await doforms.doforms.create(FORM, {"score": 3}, key="clock"))
    assert score(doforms, "clock") == 3


async def test_good_records_stay_while_every_detail_call_fails_and_lists_work(doforms: World) -> None:
    keys = [f"kept-{number}" for number in range(5)]
    await completed(doforms, *[await doforms.doforms.create(FORM, {"score": 4}, key=key) for key in keys])
    doforms.doforms.faults.add("details-fail")
    edits = [await doforms.doforms.update(FORM, key, {"score": 5}) for key in keys]
    asked = len(doforms.doforms.requests)
    await doforms.doforms.until(lambda: len(doforms.doforms.requests) > asked + 10)
    assert [score(doforms, key) for key in keys] == [4] * 5
    doforms.doforms.faults.clear()
    await completed(doforms, *edits)
    assert [score(doforms, key) for key in keys] == [5] * 5


@pytest.mark.parametrize("fault", ["error-in-200", "empty", "html", "other-record", "reset", "half", "busy", "broken"])
async def test_what_is_no_record_is_never_delivered_as_one(doforms: World, fault: str) -> None:
    await completed(doforms, await doforms.doforms.create(FORM, {"score": 99}, key="somebody-elses"))
    doforms.doforms.faults.add(fault, times=2)
    seen = await doforms.doforms.create(FORM, {"score": 6}, key=f"bad-{fault}")
    await completed(doforms, seen)
    assert score(doforms, f"bad-{fault}") == 6


async def test_notifications_that_come_twice_and_late_leave_the_newest_state(doforms: World) -> None:
    doforms.doforms.conditions.twice = 1.0
    created = await doforms.doforms.create(FORM, {"score": 7}, key="twice")
    edits = await asyncio.gather(*(doforms.doforms.update(FORM, "twice", {"score": 8 + n}) for n in range(3)))
    await completed(doforms, created, *edits)
    assert score(doforms, "twice") == 10


async def test_a_delete_that_carries_only_the_key_takes_the_row_away(doforms: World) -> None:
    doforms.doforms.conditions.unreadable = None
    await completed(doforms, await doforms.doforms.create(FORM, {"score": 11}, key="gone"))
    assert score(doforms, "gone") == 11
    await completed(doforms, await doforms.doforms.delete(FORM, "gone"))
    assert score(doforms, "gone") is None


@pytest.mark.parametrize("fault", ["report-gone", "report-refused"])
async def test_a_report_that_doforms_will_not_hear_is_not_repeated(doforms: World, fault: str) -> None:
    doforms.doforms.faults.add(fault, times=None)
    seen = await doforms.doforms.create(FORM, {"score": 12}, key=fault)
    state = f"SELECT report_state FROM notifications WHERE notification_key = '{seen.key}'"
    await doforms.doforms.until(lambda: doforms.stored(state)[0][0] not in ("open", "due"))
    assert (doforms.stored(state)[0][0], score(doforms, fault)) == (fault.removeprefix("report-"), 12)
    assert seen.belief == "received"


async def test_a_number_with_more_digits_than_a_float_can_hold_arrives_whole(doforms: World) -> None:
    await completed(doforms, await doforms.doforms.create(FORM, {"score": 9007199254740993}, key="digits"))
    assert score(doforms, "digits") == 9007199254740993


async def test_forty_records_at_once_are_read_by_no_more_than_four_calls_at_once(doforms: World) -> None:
    doforms.doforms.conditions.limit = AccountLimit(a_minute=60_000, in_flight=4)
    asked = len(doforms.doforms.requests)
    keys = [f"forty-{number}" for number in range(40)]
    await completed(
        doforms, *await asyncio.gather(*(doforms.doforms.create(FORM, {"score": 13}, key=key) for key in keys))
    )
    assert {request.status for request in doforms.doforms.requests[asked:]} == {200}


async def test_a_used_up_quota_said_inside_a_200_parks_that_web_service_and_no_other(doforms: World) -> None:
    doforms.doforms.faults.add("over-quota")
    parked = await doforms.doforms.create(OTHER, {"score": 14}, key="parked")
    paused = "SELECT count(*) FROM pauses WHERE cause = 'quota'"
    await doforms.doforms.until(lambda: doforms.stored(paused) == [(1,)])
    later = await doforms.doforms.create(OTHER, {"score": 15}, key="parked-too")
    await completed(doforms, await doforms.doforms.create(FORM, {"score": 16}, key="not-parked"))
    assert [parked.belief, later.belief] == ["received", "received"]
    assert score(doforms, "not-parked") == 16
    assert score(doforms, "parked") is None
