"""``gateway deliveries|notifications replay|drop``: what a person on call types."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.models import DeliveryState
from gateway.store.store import Store
from gateway.store.work.queue import Begin, Due, Settlement
from tests.cli.conftest import ROUTES, Run
from tests.support.keeping import keep, notification


@pytest.fixture
def troubled(tmp_path: Path) -> Path:
    """Return a routes file whose store holds dead deliveries of each kind, one that waits, and strangers."""
    file = tmp_path / "routes.toml"
    file.write_text(ROUTES)
    asyncio.run(_fill(Store(f"sqlite:///{tmp_path / 'gateway.db'}")))
    return file


async def _fill(store: Store) -> None:
    await store.open()
    await _ended(store, "given-up", result="unavailable", reason="given up after 3 attempts in 3.0d: no answer from A")
    await _ended(store, "in-doubt", result="uncertain", reason="in doubt: no answer within 30 s", doubt=True)
    for number in (1, 2):
        await _ended(store, f"closed-{number}", result="rejected", reason="422: this period is [closed]")
    await _ended(store, "fine", DeliveryState.DELIVERED, receipt='{"summary": "files/r.json", "details": {}}')
    why = "no route matches form 'Other'"
    await store.submit(
        keep(notification("stranger", record="s"), to=(), matched=False, reason=why, alarm=why, webservice=None)
    )
    await store.submit(keep(notification("waiting", record="w"), to=("folder",)))
    await store.close()


async def _ended(store: Store, key: str, state: DeliveryState = DeliveryState.DEAD, **more: Any) -> Due:
    await store.submit(keep(notification(key, record=key), to=("folder",)))
    (due,) = await store.claim({"folder": 1})
    await store.begin([Begin(due=due, attempt_id=due.id, rendered=b'{"filename": "r.json"}')])
    await store.settle([Settlement(due=due, attempt_id=due.id, state=state, **more)])
    return due


def states(run: Run, troubled: Path) -> dict[str, str]:
    found = run("deliveries", "list", "--routes", troubled, "--json").json
    return {one["notification"]: one["state"] for one in found}


def id_of(run: Run, troubled: Path, key: str) -> str:
    [one] = run("deliveries", "list", "--routes", troubled, "--json", "--notification", key).json
    return str(one["id"])


def test_one_is_replayed_by_its_id_or_delivery_key_without_a_question(run: Run, troubled: Path) -> None:
    by_id = run("deliveries", "replay", id_of(run, troubled, "given-up"), "--routes", troubled)
    assert by_id.status == 0
    assert "route → folder, notification given-up sent again as it was, under its old key" in by_id.words
    assert "A running gateway notices within a second." in by_id.words
    [doubt] = run("deliveries", "list", "--routes", troubled, "--json", "--notification", "in-doubt").json
    assert run("deliveries", "replay", doubt["delivery_key"], "--routes", troubled).status == 0
    assert {key for key, state in states(run, troubled).items() if state == "pending"} == {
        "given-up",
        "in-doubt",
        "waiting",
    }


def test_many_are_counted_first_by_destination_and_reason_and_then_replayed(run: Run, troubled: Path) -> None:
    ran = run("deliveries", "replay", "--routes", troubled, "--destination", "folder", "--yes")
    assert ran.status == 0
    preview = " ".join(ran.err.split())
    for row in (
        "2 folder dead 422: this period is [closed]",
        "1 folder dead in doubt: no answer within 30 s",
        "1 folder dead given up after 3 attempts",
    ):
        assert row in preview
    assert sorted(set(states(run, troubled).values())) == ["delivered", "pending"]


def test_reasons_that_differ_in_a_key_or_a_time_are_counted_together(run: Run, empty: Path) -> None:
    asyncio.run(_not_fetched(Store(f"sqlite:///{empty.with_name('gateway.db')}")))
    preview = " ".join(run("deliveries", "replay", "--routes", empty, "--state", "dead").err.split())
    assert (
        "3 folder dead the record could not be fetched: given up after 9 attempts in 1.1d: doForms answered 404 for"
        in preview
    )
    assert "the submission r1 (and 2 like it)" in preview
    assert (
        "1 folder dead the record could not be fetched: given up after 9 attempts in 1.0d: doForms answered 503 for"
        in preview
    )
    assert preview.count("like it") == 1


async def _not_fetched(store: Store) -> None:
    await store.open()
    for number, status in ((0, 503), (1, 404), (2, 404), (3, 404)):
        reason = f"given up after 9 attempts in 1.{number}d: doForms answered {status} for the submission r{number}"
        await _ended(store, f"n{number}", result="rejected", reason=f"the record could not be fetched: {reason}")
    await store.close()


def test_without_a_terminal_and_without_yes_nothing_is_touched(run: Run, troubled: Path) -> None:
    ran = run("deliveries", "replay", "--routes", troubled, "--state", "dead")
    assert (ran.status, ran.out) == (2, "")
    assert "Send again 4? This is no terminal, so nobody can be asked, and nothing was changed. Add --yes" in ran.err
    assert "pending" not in {states(run, troubled)[key] for key in ("given-up", "in-doubt", "closed-1")}


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--error", "PERIOD IS [CLOSED"], 2),
        (["--error", "%"], 0),
        (["--record", "given-up"], 1),
        (["--notification", "in-doubt"], 1),
        (["--route", "route", "--error", "no answer"], 2),
        (["--since", "1h", "--until", "0s"], 4),
        (["--until", "1h"], 0),
        (["--state", "pending"], 1),
    ],
)
def test_what_is_replayed_can_be_narrowed(run: Run, troubled: Path, options: list[str], count: int) -> None:
    ran = run("deliveries", "replay", "--routes", troubled, "--json", "--yes", *options)
    if count:
        assert [one["done"] for one in ran.json] == [True] * count
    else:
        assert (ran.status, ran.out) == (1, "")
        assert "no delivery fits that is dead" in ran.err


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--error", "period is [closed]"], ["closed-2", "closed-1"]),
        (["--until", "1h"], []),
        (["--until", "9999-01-01", "--state", "delivered"], ["fine"]),
    ],
)
def test_lists_take_error_texts_and_ends_of_time(
    run: Run, troubled: Path, options: list[str], found: list[str]
) -> None:
    assert [
        one["notification"] for one in run("deliveries", "list", "--routes", troubled, "--json", *options).json
    ] == found
    assert [one["key"] for one in run("notifications", "list", "--routes", troubled, "--json", *options).json] == found


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--destination", "folder", "--state", "dead", "--route", "route"], 4),
        (["--destination", "service"], 0),
        (["--error", "no route matches"], 1),
    ],
)
def test_notifications_are_listed_by_their_deliveries(run: Run, troubled: Path, options: list[str], found: int) -> None:
    assert len(run("notifications", "list", "--routes", troubled, "--json", *options).json) == found


@pytest.mark.parametrize("which", [[], ["17", "--state", "dead"]])
@pytest.mark.parametrize("command", ["replay", "drop"])
def test_it_must_be_said_which_once(run: Run, troubled: Path, command: str, which: list[str]) -> None:
    ran = run("deliveries", command, "--routes", troubled, "--yes", *which)
    assert (ran.status, ran.out) == (2, "")
    assert "name ids, or choose by options" in ran.err


def test_one_that_is_not_there_is_status_1_and_nothing_is_touched(run: Run, troubled: Path) -> None:
    ran = run("deliveries", "replay", id_of(run, troubled, "given-up"), "999", "--routes", troubled)
    assert ran.status == 1
    assert "no delivery has the id or delivery key '999'" in ran.err
    assert states(run, troubled)["given-up"] == "dead"


def test_what_is_refused_says_why_and_is_status_1(run: Run, troubled: Path) -> None:
    ran = run("deliveries", "replay", id_of(run, troubled, "fine"), "--routes", troubled)
    assert ran.status == 1
    assert "refused route → folder, notification fine it was delivered: `--force` sends it once more" in ran.words
    assert "1 of 1 was refused" in ran.err
    forced = run("deliveries", "replay", id_of(run, troubled, "fine"), "--routes", troubled, "--force")
    assert forced.status == 0


def test_a_drop_keeps_who_and_why(run: Run, troubled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ann")
    id_ = id_of(run, troubled, "waiting")
    ran = run("deliveries", "drop", id_, "--routes", troubled, "--reason", "typed twice")
    assert ran.status == 0
    words = run("deliveries", "show", id_, "--routes", troubled).words
    assert "state dropped" in words
    assert "dropped by ann: typed twice" in words
    assert run("notifications", "show", "waiting", "--routes", troubled, "--json").json["outcome"] == "failed"


def test_many_are_dropped_only_if_they_are_dead_unless_a_state_is_given(run: Run, troubled: Path) -> None:
    assert run("deliveries", "drop", "--routes", troubled, "--destination", "folder", "--yes").status == 0
    assert states(run, troubled)["waiting"] == "pending"
    assert run("deliveries", "drop", "--routes", troubled, "--state", "pending", "--yes").status == 0
    assert set(states(run, troubled).values()) == {"dropped", "delivered"}


def test_a_notification_is_replayed_and_dropped_by_its_key(run: Run, troubled: Path) -> None:
    assert run("notifications", "replay", "closed-1", "--routes", troubled).status == 0
    assert states(run, troubled)["closed-1"] == "pending"
    assert run("notifications", "drop", "closed-1", "waiting", "--routes", troubled).status == 0
    assert {states(run, troubled)[key] for key in ("closed-1", "waiting")} == {"dropped"}


def test_a_notification_with_nothing_to_replay_says_so(run: Run, troubled: Path) -> None:
    ran = run("notifications", "replay", "fine", "--routes", troubled)
    assert (ran.status, ran.out) == (1, "")
    assert "no notification that fits is unmatched or has a delivery that is dead" in ran.err


def test_notifications_are_replayed_by_what_they_have_in_common(run: Run, troubled: Path) -> None:
    ran = run("notifications", "replay", "--error", "closed", "--routes", troubled, "--yes", "--json")
    assert [one["notification"] for one in ran.json] == ["closed-1", "closed-2"]
    assert "2 folder dead 422: this period is [closed]" in " ".join(ran.err.split())


def test_a_notification_is_found_by_the_key_of_its_record(run: Run, troubled: Path) -> None:
    assert run("notifications", "show", "s", "--routes", troubled, "--json").json["key"] == "stranger"


def test_several_notifications_of_a_record_are_not_mixed_up(run: Run, filled: Path) -> None:
    ran = run("notifications", "show", "r1", "--routes", filled)
    assert ran.status == 1
    assert "several notifications speak of the record 'r1': `gateway notifications list --record r1`" in ran.err


def test_an_unmatched_notification_is_matched_with_the_routes_file_as_it_is_now_and_no_secret(
    run: Run, troubled: Path
) -> None:
    replayed = run("notifications", "replay", "stranger", "--routes", troubled)
    assert replayed.status == 0
    assert "notification stranger matched: 2 deliveries" in replayed.words
    one = run("notifications", "show", "stranger", "--routes", troubled, "--json").json
    assert (one["matched"], one["webservice"], one["form"]) == (True, "inspection", "Site inspection")
    assert (one["fetch"], one["outcome"], one["report"]) == ("due", None, "open")
    assert {(each["route"], each["destination"], each["state"]) for each in one["all_deliveries"]} == {
        ("inspections", "folder", "pending"),
        ("inspections", "service", "pending"),
    }
    assert run("alarms", "--routes", troubled, "--json").json == []


def test_an_unmatched_notification_that_still_does_not_match_says_why(run: Run, troubled: Path) -> None:
    troubled.write_text(ROUTES.replace('form = "Site inspection"\nproject', 'form = "Other"\nproject', 1))
    troubled.write_text(troubled.read_text().replace('\nform = "Site inspection"\nevents', "\nevents"))
    troubled.write_text(troubled.read_text().replace('events = ["create", "update", "delete"]', 'events = ["delete"]'))
    ran = run("notifications", "replay", "--unmatched", "--routes", troubled, "--yes")
    assert ran.status == 1
    assert "still unmatched: no route matches form 'Other', project 'Safety', event create" in ran.words
    assert len(run("alarms", "--routes", troubled, "--json").json) == 1


def test_an_unmatched_notification_that_was_dropped_is_not_replayed_with_others(run: Run, troubled: Path) -> None:
    assert run("notifications", "drop", "--unmatched", "--routes", troubled, "--yes", "--reason", "a test").status == 0
    assert run("alarms", "--routes", troubled, "--json").json == []
    assert run("notifications", "replay", "--unmatched", "--routes", troubled, "--yes").status == 1
    assert run("notifications", "replay", "stranger", "--routes", troubled).status == 0


def test_a_store_that_inserts_beside_a_command_takes_other_ids(run: Run, troubled: Path) -> None:
    """A gateway counts ids on from what it has seen; a command that adds deliveries must not make it fail."""

    async def beside() -> list[int]:
        store = Store(f"sqlite:///{troubled.with_name('gateway.db')}")
        await store.open()
        before = await store.submit(keep(notification("before", record="b"), to=("folder",)))
        assert await asyncio.to_thread(run, "notifications", "replay", "stranger", "--routes", troubled)
        after = await store.submit(keep(notification("after", record="a"), to=("folder",)))
        await store.close()
        return [before.deliveries[0].id, after.deliveries[0].id]

    before, after = asyncio.run(beside())
    assert after == before + 3


def test_json_on_an_order_is_one_array_and_the_preview_goes_beside_it(run: Run, troubled: Path) -> None:
    ran = run("deliveries", "drop", "--error", "closed", "--routes", troubled, "--yes", "--json", "--reason", "x")
    assert {(one["route"], one["destination"], one["done"]) for one in json.loads(ran.out)} == {
        ("route", "folder", True)
    }
    database = sqlite3.connect(troubled.with_name("gateway.db"))
    [(count,)] = database.execute("SELECT count(*) FROM deliveries WHERE state = 'dropped'").fetchall()
    database.close()
    assert count == 2


@pytest.mark.parametrize(("typed", "status", "state"), [("n", 1, "dead"), ("y", 0, "pending")])
def test_in_a_terminal_a_person_is_asked_and_decides(
    run: Run, troubled: Path, typed: str, status: int, state: str
) -> None:
    outside, inside = os.openpty()
    words = ["deliveries", "replay", "--error", "no answer from A", "--routes", str(troubled)]
    try:
        os.write(outside, f"{typed}\n".encode())
        ran = subprocess.run([sys.executable, "-m", "gateway", *words], stdin=inside, capture_output=True, text=True)
    finally:
        os.close(outside)
        os.close(inside)
    assert ran.returncode == status
    assert "Send again 1?" in ran.stderr
    assert ("nothing was changed" in ran.stderr) is (typed == "n")
    assert states(run, troubled)["given-up"] == state
