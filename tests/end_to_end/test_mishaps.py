"""What integrators of doForms have met, played by the simulated doForms to one real gateway: see docs/protocol.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from gateway.cli import app
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

[[routes]]
name = "whole"
form = "Inspection"
mode = "delayed"
events = ["create", "status"]
[[routes.deliver]]
to = "folder"
filename = "{{ record.key }}.json"
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


def answers(world: World, key: str) -> Any:
    """Return the answers of a record as they have arrived."""
    return json.loads((world.folder / "files" / f"{key}.json").read_text())["record"]["fields"]


@pytest.mark.parametrize(
    ("event", "expected"),
    [("Edited", 18), ("UPDATE", 18), ("reopened", 18), ("", 18), (None, 18), ("deleted", None), ("Delete", None)],
)
async def test_an_event_in_any_words_is_understood(doforms: World, event: str | None, expected: int | None) -> None:
    key, simulator = f"event-{event}", doforms.doforms
    await completed(doforms, await simulator.create(FORM, {"score": 17}, key=key))
    simulator.put_record(FORM, key, {"score": 18})
    known = {"key": f"n-{key}", "webserviceId": FORM, "submissionKey": key, "priority": {"nobody": "knows"}}
    told = known | ({} if event is None else {"event": event})
    await completed(doforms, await simulator.notify(FORM, event or "", key=known["key"], body=told))  # type: ignore[arg-type]
    assert score(doforms, key) == expected


async def test_a_form_that_is_stored_again_at_each_hop_ends_with_its_last_state(doforms: World) -> None:
    created = await doforms.doforms.create(FORM, {"score": 0}, key="hops")
    hops = []
    for hop in range(1, 5):
        doforms.doforms.put_record(FORM, "hops", {"score": hop})
        hops.append(asyncio.create_task(doforms.doforms.notify(FORM, "update", submission_key="hops")))
        await asyncio.sleep(0.02)
    await completed(doforms, created, *await asyncio.gather(*hops))
    assert score(doforms, "hops") == 4


async def test_a_dispatch_status_of_the_customers_making_arrives_and_its_submission_is_another_record(
    doforms: World,
) -> None:
    simulator = doforms.doforms
    await completed(doforms, await simulator.status(FORM, "d-1", {"status": "Waiting for parts / Ersatzteile"}))
    assert answers(doforms, "d-1") == {"status": "Waiting for parts / Ersatzteile"}
    simulator.put_record(FORM, "of-d-1", {"done": True})
    await completed(doforms, await simulator.notify(FORM, "create", submission_key="of-d-1", dispatch_key="d-1"))
    assert answers(doforms, "of-d-1") == {"done": True}


async def test_questions_of_one_name_in_several_sections_keep_their_answers(doforms: World) -> None:
    fields = {"before": {"note": "dry"}, "after": {"note": "wet"}, "site": "Dock"}
    await completed(doforms, await doforms.doforms.create(FORM, fields, key="sections"))
    assert answers(doforms, "sections") == {"before.note": "dry", "after.note": "wet", "site": "Dock"}


async def test_a_kind_of_answer_that_nobody_knows_arrives_and_is_told_once(doforms: World) -> None:
    raw = [
        {"name": "tag", "data": "nfcTag", "type": "nfc", "nfcTag": "04:A2"},
        {"name": "odd", "type": "gauge", "reading": {"bar": 3}},
        {"name": "unanswered", "data": "text", "type": "text"},
    ]
    for key in ("unknown-1", "unknown-2"):
        await completed(doforms, await doforms.doforms.create(FORM, raw, key=key))
        assert answers(doforms, key) == {"tag": "04:A2", "odd": {"bar": 3}, "unanswered": None}
    assert doforms.gateway is not None
    told = [line for line in doforms.gateway.lines() if line.get("question") == "tag"]
    assert len(told) == 1


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("nested", [False, True])
async def test_a_table_arrives_in_whichever_shape_it_comes(doforms: World, *, wrapped: bool, nested: bool) -> None:
    row = {"name": "part", "data": "text", "type": "text", "text": "Bolt"}
    table = {"fields": [{"fields": [row]}]} if nested else {"data": "rows", "rows": [{"part": "Bolt"}]}
    key = f"table-{nested}-{wrapped}"
    doforms.doforms.world.keep(FORM, key, lambda: [{"name": "parts", "type": "table"} | table], wrapped=wrapped)
    await completed(doforms, await doforms.doforms.notify(FORM, "create", submission_key=key))
    assert answers(doforms, key) == {"parts": [{"part": "Bolt"}]}


async def test_a_time_without_a_zone_is_not_shifted(doforms: World) -> None:
    moment = "2026-03-29T02:30:00"  # in many zones there was no such time
    raw = [{"name": "at", "data": "dateTime", "type": "date time", "dateTime": moment}]
    await completed(doforms, await doforms.doforms.create(FORM, raw, key="wall-clock"))
    assert answers(doforms, "wall-clock") == {"at": moment}


@pytest.mark.parametrize("fault", ["busy", "unavailable", "reset", "half"])
async def test_a_report_that_does_not_come_through_is_made_again(doforms: World, fault: str) -> None:
    doforms.doforms.faults.add(fault, call="report", times=2)
    await completed(doforms, await doforms.doforms.create(FORM, {"score": 19}, key=f"report-{fault}"))


async def test_a_record_that_alone_is_forbidden_pauses_nothing(doforms: World) -> None:
    doforms.doforms.faults.add(call="record", path_contains="/forbidden", status=403, times=3)
    seen = await doforms.doforms.create(FORM, {"score": 20}, key="forbidden")
    await completed(doforms, await doforms.doforms.create(FORM, {"score": 21}, key="allowed"), seen)
    assert doforms.stored("SELECT count(*) FROM pauses WHERE cause = 'unauthorised'") == [(0,)]


async def test_a_revoked_password_holds_back_its_web_service_until_it_is_resumed_and_loses_nothing(
    doforms: World,
) -> None:
    doforms.doforms.faults.add(call="record", status=401)
    seen = await doforms.doforms.create(FORM, {"score": 22}, key="revoked")
    paused = "SELECT count(*) FROM pauses WHERE cause = 'unauthorised'"
    await doforms.doforms.until(lambda: doforms.stored(paused) == [(1,)])
    later = await doforms.doforms.create(FORM, {"score": 23}, key="while-revoked")
    assert doforms.stored("SELECT kind FROM alarms WHERE cleared_at IS NULL AND kind = 'webservice paused'")
    assert (score(doforms, "revoked"), later.belief) == (None, "received")
    ran = CliRunner().invoke(
        app, ["webservices", "resume", "inspection", "--routes", str(doforms.folder / "routes.toml")]
    )
    assert ran.exit_code == 0, ran.output
    await completed(doforms, seen, later)
    assert (score(doforms, "revoked"), score(doforms, "while-revoked")) == (22, 23)


async def test_an_answer_that_repeats_the_password_at_length_is_told_briefly_and_without_it(doforms: World) -> None:
    assert doforms.gateway is not None
    body = f"no: Bearer {FORM}:secret ".encode() + b"x" * 100_000
    doforms.doforms.faults.add(path_contains="/echo", status=500, body=body, times=None)
    before = doforms.gateway.log_file.stat().st_size
    seen = await doforms.doforms.create(FORM, {"score": 24}, key="echo")
    of_it = f"FROM notifications WHERE notification_key = '{seen.key}'"
    await doforms.doforms.until(lambda: doforms.stored(f"SELECT fetch_reason {of_it}")[0][0])
    kept = doforms.stored(f"SELECT fetch_reason {of_it}") + doforms.stored(
        f"SELECT reason FROM deliveries WHERE notification_id = (SELECT id {of_it})"
    )
    doforms.doforms.faults.clear()
    await completed(doforms, seen)
    logged = doforms.gateway.log_file.read_bytes()[before:].decode()
    for told in (logged, str(kept)):
        assert "no: Bearer" in told
        assert ":secret" not in told
        assert len(told) < 20_000


async def test_no_call_was_made_but_those_that_a_web_service_may_make(doforms: World) -> None:
    """Asking for a user's token is punished, each time longer."""
    asked = {one.path.removeprefix("/api/v2/").partition("/")[0] for one in doforms.doforms.requests}
    assert asked <= {"submissions", "dispatches", "notifications"}
    assert {one.method for one in doforms.doforms.requests} == {"GET", "PUT"}
