"""Notifications that were lost for good: a real gateway finds their records, each once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.end_to_end.conftest import FORM, OTHER, Make, World
from tests.end_to_end.several import Several

UPSERT = (
    'to = "table"\ntable = "state"\nwrite = "upsert"\nkey = ["record"]\n'
    'columns = { record = "{{ record.key }}", score = "{{ record.fields.score }}" }'
)
AUDIT = 'to = "table"\nname = "audit"\ntable = "plain"\norder = "none"\ncolumns = { record = "{{ record.key }}" }'
RECONCILE = '\n[reconcile]\nevery = "{every}"\nlookback = "48h"\ngrace = "1h"\n'
PENDING = "SELECT count(*) FROM deliveries WHERE state = 'pending'"
KINDS = "SELECT notification_key LIKE 'backfill:%', count(*) FROM notifications GROUP BY 1"


def reconciling(route: str, every: str = "1h") -> str:
    """Return routes with reconciliation switched on."""
    return RECONCILE.format(every=every) + route


def lose(
    world: World | Several, count: int, *, ago: timedelta = timedelta(hours=25), over: timedelta = timedelta(hours=23)
) -> None:
    """Have doForms receive so many records over a day without ever telling of them."""
    begin = datetime.now(UTC) - ago
    for number in range(count):
        key, at = f"r{number:05}", begin + over * number / count
        world.doforms.world.put(FORM, key, {"score": number}, received=at)


def command(world: World, *arguments: str) -> list[str]:
    """Return a command on the gateway's routes file, as a person gives it."""
    assert world.gateway is not None
    return [sys.executable, "-m", "gateway", *arguments, "--routes", str(world.gateway.routes)]


def environ(world: World) -> dict[str, str]:
    assert world.gateway is not None
    return {**os.environ, **world.gateway.environ}


def run(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command(world, *arguments), env=environ(world), capture_output=True, text=True, check=False)


async def ordered(world: World, *arguments: str) -> Any:
    """Run a command that prints JSON and ends well; returns what it printed."""
    ran = await asyncio.to_thread(run, world, *arguments, "--json")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return json.loads(ran.stdout)


def listings(world: World) -> int:
    return sum(one.path.endswith("/submissions") for one in world.doforms.requests)


async def delivered(world: World, count: int) -> None:
    await world.doforms.until(lambda: world.rows("SELECT count(*) FROM state") == [(count,)], timeout=20)
    await world.doforms.until(lambda: world.stored(PENDING) == [(0,)])


async def test_a_day_of_lost_notifications_is_found_and_each_record_delivered_once(world: World, route: Make) -> None:
    lose(world, 150)
    with world.running(reconciling(route(UPSERT, AUDIT))):
        await delivered(world, 150)
        assert world.stored(KINDS) == [(1, 150)]
        assert world.rows("SELECT count(*), count(DISTINCT record) FROM plain") == [(150, 150)]
        assert world.stored("SELECT DISTINCT report_state, outcome, mode FROM notifications") == [
            ("none", "completed", "delayed")
        ]
        assert listings(world) == 1
        late = await world.doforms.notify(FORM, "create", submission_key="r00007")
        assert late.belief == "completed"
        edited = await world.doforms.update(FORM, "r00008", {"score": 8000})
        await world.doforms.until(lambda: edited.belief == "completed")
        assert world.rows("SELECT score FROM state WHERE record = 'r00008'") == [(8000,)]
        assert world.rows("SELECT count(*) FROM plain") == [(151,)]
    assert not [one for one in world.doforms.requests if one.method == "PUT" and "backfill" in one.path]


async def test_a_late_create_whose_record_is_still_on_its_way_hears_its_outcome_by_put(
    world: World, route: Make
) -> None:
    lose(world, 1)
    world.doforms.readable_after("r00000", 3.0)
    world.doforms.world.records["submission", "r00000"].document["id"] = "other"
    with world.running(reconciling(route(UPSERT))):
        await world.doforms.until(lambda: world.stored(KINDS) == [(1, 1)])
        late = await world.doforms.notify(FORM, "create", submission_key="r00000")
        assert late.answers[0].body == b""
        await delivered(world, 1)
        await world.doforms.until(lambda: late.belief == "completed")
        assert late.puts == ["completed"]


async def test_a_gateway_killed_amid_a_round_loses_and_doubles_nothing(world: World, route: Make) -> None:
    lose(world, 200)
    with world.running(reconciling(route(UPSERT, AUDIT))) as gateway:
        await world.doforms.until(lambda: world.stored("SELECT count(*) FROM backfilled")[0][0] >= 50)
        gateway.kill()
        gateway.start()
        await delivered(world, 200)
        assert world.stored(KINDS) == [(1, 200)]


async def test_a_listing_that_is_too_short_raises_an_alarm_and_ends_when_it_is_whole(world: World, route: Make) -> None:
    lose(world, 3)
    with world.running(reconciling(route(UPSERT))):
        await delivered(world, 3)
        began = datetime.now(UTC) - timedelta(hours=10)
        for key in ("told1", "told2", "told3", "told4"):
            world.doforms.world.put(FORM, key, {"score": 1}, received=began)
            seen = world.doforms.compose(FORM, "create", submission_key=key)
            created = began.isoformat(timespec="milliseconds")
            seen.body = json.dumps({**seen.document, "createTime": created}).encode()
            await world.doforms.send(seen)
        await delivered(world, 7)
    world.doforms.faults.add(path_contains="/submissions", method="GET", status=200, body=b"[]", times=1)
    alarms = "SELECT text FROM alarms WHERE kind = 'listing too short' AND cleared_at IS NULL"
    with world.running(reconciling(route(UPSERT), every="2s")):
        await world.doforms.until(lambda: bool(world.stored(alarms)))
        [(text,)] = world.stored(alarms)
        assert "doForms lists 0 records" in text
        assert "notifications of 4 new ones" in text
        assert "told1, told2, told3, …" in text
        await world.doforms.until(lambda: not world.stored(alarms))
        assert world.rows("SELECT count(*) FROM state") == [(7,)]


async def test_what_is_live_overtakes_a_thousand_backfilled_records(world: World, route: Make) -> None:
    lose(world, 1000)
    slow = "[accounts.acme]\nrequests_per_minute = 600\n"
    with world.running(slow + reconciling(route(UPSERT))):
        await world.doforms.until(lambda: world.stored(KINDS) == [(1, 1000)])
        for number in range(3):
            seen = await world.doforms.create(FORM, {"score": 1}, key=f"live{number}")
            await world.doforms.until(lambda seen=seen: seen.belief == "completed", timeout=3)
        assert world.rows("SELECT count(*) FROM state")[0][0] < 300
        await world.doforms.until(lambda: world.rows("SELECT count(*) FROM state")[0][0] > 60, timeout=20)


async def test_the_books_say_complete_only_when_they_are(world: World, route: Make) -> None:
    lose(world, 12)
    books = ("reconcile", "--books", "--webservice", "inspection")
    with world.running(route(UPSERT)):
        ran = await asyncio.to_thread(run, world, *books, "--json")
        [found] = json.loads(ran.stdout)
        assert ran.returncode == 1
        assert (found["listed"], found["kept"], found["missing"], found["complete"]) == (12, 0, 12, False)
        assert found["missing_keys"][:2] == ["r00000", "r00001"]
        assert found["verdict"] == "not complete: 12 of 12 records that doForms lists are missing here"
        [made] = await ordered(world, "reconcile", "--webservice", "inspection")
        assert (made["listed"], made["let_in"], made["broke_off"]) == (12, 12, None)
        await delivered(world, 12)
        [again] = await ordered(world, "reconcile", "--webservice", "inspection")
        assert (again["listed"], again["let_in"]) == (12, 0)
        ran = await asyncio.to_thread(run, world, *books)
        assert ran.returncode == 0, ran.stderr
        assert "listed at doForms 12, kept here 12, missing 0" in ran.stdout
        assert "table: 12 delivered" in ran.stdout
        assert "Complete for new records up to 20" in ran.stdout
        assert "Edits and deletes cannot be seen this way" in ran.stdout


async def test_backfill_shows_what_it_would_do_asks_and_does_it_once(world: World, route: Make) -> None:
    lose(world, 120, ago=timedelta(days=10), over=timedelta(days=3))
    order = ("backfill", "--webservice", "inspection", "--since", "11d")
    with world.running(route(UPSERT)):
        first = await world.doforms.notify(FORM, "update", submission_key="r00003")
        await world.doforms.until(lambda: first.belief == "completed")
        asked = await asyncio.to_thread(run, world, *order)
        assert asked.returncode == 2
        assert "120 listed, 1 known, 119 not known." in asked.stderr
        assert "nothing was changed. Add --yes to go on" in asked.stderr
        assert world.rows("SELECT count(*) FROM state") == [(1,)]
        assert (await ordered(world, *order, "--yes"))["let_in"] == 119
        await delivered(world, 120)
        late = await world.doforms.notify(FORM, "create", submission_key="r00009")
        assert late.belief == "completed"
        assert world.stored(KINDS) == [(0, 2), (1, 119)]
        found = await ordered(world, "notifications", "list", "--kind", "backfill", "--record", "r00009")
        assert [(one["key"], one["kind"], one["report"]) for one in found] == [("backfill:r00009", "backfill", "none")]


async def test_backfill_says_that_it_leaves_out_the_time_within_grace_and_how_to_look_up_to_now(
    world: World, route: Make
) -> None:
    lose(world, 3, ago=timedelta(minutes=30), over=timedelta(minutes=20))
    with world.running(route(UPSERT)):
        pass
    order = ("backfill", "--webservice", "inspection", "--dry-run", "--since")
    empty = await asyncio.to_thread(run, world, *order, "1h")
    assert (empty.returncode, empty.stdout, listings(world)) == (2, "", 0)
    assert "Error: there is no time from 20" in empty.stderr
    why = (
        "nothing is looked at that doForms received in the last 1 h (`grace`), since notifications of it may still come"
    )
    assert f"{why}. To look up to now, give --until 0s, or --since a time before 20" in empty.stderr
    long = await asyncio.to_thread(run, world, *order, "2h")
    assert "0 listed, 0 known, 0 not known.\nNot later: without --until" in long.stderr
    assert why in long.stderr
    now = await asyncio.to_thread(run, world, *order, "1h", "--until", "0s")
    assert "3 listed, 0 known, 3 not known.\n" in now.stderr
    assert "Not later" not in now.stderr
    wrong = await asyncio.to_thread(run, world, *order, "1h", "--until", "2h")
    assert (wrong.returncode, "to ask for: --since must be before --until\n" in wrong.stderr) == (2, True)


async def test_backfill_works_without_a_gateway_and_says_what_it_cannot_do(world: World, route: Make) -> None:
    lose(world, 3)
    with world.running(route(UPSERT)):
        pass
    assert (await ordered(world, "backfill", "--webservice", "inspection", "--since", "2d", "--yes"))["let_in"] == 3
    refused = await asyncio.to_thread(run, world, "backfill", "--webservice", "other", "--since", "2d")
    assert "no route takes new records of the web service other" in refused.stderr
    old = await ordered(world, "backfill", "--webservice", "inspection", "--since", "200d", "--dry-run")
    assert "may have forgotten" in old["warnings"][0]
    assert (old["listed"], old["known"], old["unknown"], old["let_in"]) == (3, 3, 0, 0)
    with world.running(route(UPSERT)):
        await delivered(world, 3)


async def test_a_backfill_that_is_broken_off_says_how_far_it_came(world: World, route: Make) -> None:
    lose(world, 1)
    with world.running(route(UPSERT)):
        pass
    world.doforms.faults.add(path_contains="/submissions", method="GET", hang=True)
    order = ("backfill", "--webservice", "inspection", "--since", "2d", "--yes")
    process = await asyncio.create_subprocess_exec(*command(world, *order), env=environ(world), stderr=subprocess.PIPE)
    await world.doforms.until(lambda: listings(world) == 1, timeout=20)
    process.send_signal(signal.SIGINT)
    _, told = await process.communicate()
    assert (process.returncode, told) == (130, b"Broken off. Nothing was let in; give the same order again later.\n")
    world.doforms.faults.add(path_contains="/submissions", method="GET", status=401)
    refused = await asyncio.to_thread(run, world, *order)
    assert refused.returncode == 1
    assert "the web service inspection is paused: doForms answered 401" in refused.stderr
    assert "then `gateway webservices resume inspection`, or `gateway reload`" in refused.stderr
    assert refused.stderr.endswith("Nothing was let in; give the same order again later\n")


async def test_a_web_service_that_a_command_paused_is_asked_again_after_the_order_that_it_names(
    world: World, route: Make
) -> None:
    lose(world, 1)
    with world.running(route(UPSERT)):
        pass
    world.doforms.faults.add(path_contains="/submissions", method="GET", status=401)
    for _ in range(2):
        refused = await asyncio.to_thread(run, world, "reconcile", "--webservice", "inspection")
        assert (refused.returncode, listings(world)) == (1, 1)
        assert "Mend its password; then `gateway webservices resume inspection`" in refused.stdout
    resumed = await asyncio.to_thread(run, world, "webservices", "resume", "inspection")
    assert resumed.returncode == 0, resumed.stderr
    [made] = await ordered(world, "reconcile", "--webservice", "inspection")
    assert (made["let_in"], made["broke_off"]) == (1, None)


async def test_a_command_reconciles_the_others_where_a_gateway_is_about_one(world: World, route: Make) -> None:
    lose(world, 1)
    world.doforms.world.put(OTHER, "o1", {"score": 1}, received=datetime.now(UTC) - timedelta(hours=5))
    with world.running(route(UPSERT) + route(AUDIT, form="Other", name="two")):
        pass
    database = sqlite3.connect(world.gateway.store)
    with database:
        held = (FORM, "another", 2**62)
        database.execute("INSERT INTO reconciled (webservice_id, holder, lease_until) VALUES (?, ?, ?)", held)
    database.close()
    ran = await asyncio.to_thread(run, world, "reconcile", "--json")
    assert ran.returncode == 1
    assert "inspection is being reconciled at this moment" in ran.stderr
    assert [(one["webservice"], one["let_in"]) for one in json.loads(ran.stdout)] == [("other", 1)]


async def test_why_a_round_broke_off_is_told_in_one_line_below_the_table(
    world: World, route: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with world.running(route(UPSERT)):
        pass
    world.doforms.faults.add(path_contains="/submissions", method="GET", status=401)
    ran = await asyncio.to_thread(run, world, "reconcile")
    head, _, row, told = ran.stdout.splitlines()
    assert (ran.returncode, head.split()) == (1, ["web", "service", "from", "to", "listed", "let", "in"])
    assert row.startswith("inspection")
    assert told.startswith("inspection: the web service inspection is paused: doForms answered 401")


async def test_windows_that_are_full_are_split_and_those_of_one_moment_paged(world: World, route: Make) -> None:
    lose(world, 1300)
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=30)
    for number in range(1200):
        world.doforms.world.put(FORM, f"same{number}", {}, received=at)
    with world.running(route(UPSERT)):
        pass
    ran = await asyncio.to_thread(run, world, "reconcile", "--books", "--webservice", "inspection", "--json")
    [found] = json.loads(ran.stdout)
    assert (found["listed"], found["missing"], len(found["missing_keys"])) == (2500, 2500, 100)
    assert listings(world) < 100


async def test_a_refused_password_pauses_the_web_service_and_receiving_goes_on(world: World, route: Make) -> None:
    lose(world, 1)
    world.doforms.faults.add(path_contains="/submissions", method="GET", status=401, times=None)
    with world.running(reconciling(route(AUDIT.replace("record.key", "notification.key")))):
        await world.doforms.until(
            lambda: world.stored("SELECT cause FROM pauses") == [("unauthorised",)] and listings(world) == 1
        )
        seen = await world.doforms.notify(FORM, "create", submission_key="new")
        assert seen.answers[0].status == 200
        assert listings(world) == 1
