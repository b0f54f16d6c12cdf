"""Holding destinations back, letting destinations and web services go on, and seeing what waits."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gateway.store.engine.connect import open_database
from gateway.store.engine.transaction_time import now
from gateway.store.work import alarms
from gateway.store.work.call_counts import day_of
from tests.cli.conftest import Run


def test_destinations_are_listed_with_what_waits_for_them(run: Run, filled: Path) -> None:
    listed = {one["name"]: one for one in run("destinations", "list", "--routes", filled, "--json").json}
    assert set(listed) >= {"folder", "service"}
    assert (listed["folder"]["plugin"], listed["folder"]["state"]) == ("file", "ready")
    assert sum(one["waiting"] + one["dead"] for one in listed.values()) > 0
    assert "folder" in run("destinations", "list", "--routes", filled).words


def test_a_destination_that_nobody_paused_says_why_its_deliveries_wait(run: Run, filled: Path) -> None:
    listed = {one["name"]: one for one in run("destinations", "list", "--routes", filled, "--json").json}
    reason = "the record could not be fetched: doForms answered 503 for the submission: <html>Try [later]</html>"
    assert (listed["folder"]["state"], listed["folder"]["put_off"]) == ("ready", reason)
    assert f"ready one waits because: {reason}" in run("destinations", "list", "--routes", filled).words


def test_a_destination_that_is_gone_from_the_file_is_listed_while_deliveries_wait_for_it(
    run: Run, filled: Path
) -> None:
    listed = run("destinations", "list", "--routes", filled, "--json").json
    gone = [one for one in listed if one["state"] == "not in the routes file"]
    assert all(one["plugin"] is None for one in gone)


def test_a_paused_destination_says_why_until_it_goes_on(run: Run, empty: Path) -> None:
    paused = run("destinations", "pause", "folder", "--reason", "moving the disk", "--routes", empty)
    assert (paused.status, "folder is paused" in paused.words) == (0, True)
    shown = run("destinations", "list", "--routes", empty).words
    assert "folder file 0 0 paused moving the disk" in shown
    assert run("destinations", "resume", "folder", "--routes", empty).status == 0
    again = run("destinations", "resume", "folder", "--routes", empty)
    assert (again.status, "is not paused" in again.err) == (1, True)


def test_an_unknown_name_suggests_the_nearest(run: Run, empty: Path) -> None:
    refused = run("destinations", "pause", "foldr", "--routes", empty)
    assert refused.status == 1
    assert "Did you mean `folder`?" in refused.err
    refused = run("webservices", "resume", "inspectoin", "--routes", empty)
    assert refused.status == 1
    assert "Did you mean `inspection`?" in refused.err


def test_a_web_service_that_was_refused_goes_on(run: Run, empty: Path) -> None:
    database = sqlite3.connect(empty.with_name("gateway.db"))
    with database:
        values = ("webservice", "acme$$1$$Published$$2", "unauthorised", "the password was refused", 1, 2_000_000_000)
        database.execute("INSERT INTO pauses VALUES (?, ?, ?, ?, ?, ?)", values)
    database.close()
    [listed] = run("webservices", "list", "--routes", empty, "--json").json
    assert (listed["name"], listed["state"], listed["reason"]) == (
        "inspection",
        "paused",
        "the password was refused",
    )
    assert "the password was refused" in run("webservices", "list", "--routes", empty).words
    resumed = run("webservices", "resume", "inspection", "--routes", empty)
    assert resumed.status == 0
    assert "a new one it learns by `gateway reload` if that stands in a file, by a restart if in an" in resumed.words
    assert run("webservices", "resume", "inspection", "--routes", empty).status == 1
    [listed] = run("webservices", "list", "--routes", empty, "--json").json
    assert (listed["state"], listed["until"]) == ("ready", None)


def test_web_services_are_listed_with_their_calls_of_today(run: Run, empty: Path) -> None:
    [listed] = run("webservices", "list", "--routes", empty, "--json").json
    assert listed["calls_today"] == {}
    today, webservice = day_of(now()), "acme$$1$$Published$$2"
    database = sqlite3.connect(empty.with_name("gateway.db"))
    with database:
        rows = [
            (today, "fetch", 120, 3, 1, 7),
            (today, "report", 80, 0, 0, 2),
            (today - 86_400_000_000, "fetch", 9, 9, 9, 9),
        ]
        for day, *counted in rows:
            database.execute("INSERT INTO call_counts VALUES (?, ?, ?, ?, ?, ?, ?)", (day, webservice, *counted))
    database.close()
    [listed] = run("webservices", "list", "--routes", empty, "--json").json
    assert listed["calls_today"] == {
        "fetch": {"calls": 120, "too_many": 3, "over_quota": 1, "failed": 7},
        "report": {"calls": 80, "too_many": 0, "over_quota": 0, "failed": 2},
    }
    shown = run("webservices", "list", "--routes", empty).words
    assert "120 fetch, 80 report" in shown
    assert "3 answered 429, 1 over quota, 9 failed" in shown


def test_a_web_service_whose_account_waits_is_not_ready(run: Run, empty: Path) -> None:
    database = open_database(f"sqlite:///{empty.with_name('gateway.db')}")
    for kind in ("account waits", "doforms silent"):
        with database.write() as connection:
            alarms.raise_alarm(connection, kind, "acme", "until then")
        [listed] = run("webservices", "list", "--routes", empty, "--json").json
        assert (listed["state"], listed["reason"]) == ("waits", f"{kind}: see `gateway alarms`")
        with database.write() as connection:
            alarms.clear_alarm(connection, kind, "acme")
    database.close()


def test_destination_that_is_not_open_yet_says_why_and_since_when(run: Run, empty: Path) -> None:
    database = sqlite3.connect(empty.with_name("gateway.db"))
    with database:
        values = ("opening", "folder", "opening", "the disk is not there", 1_700_000_000_000_000, 1_700_000_060_000_000)
        database.execute("INSERT INTO pauses VALUES (?, ?, ?, ?, ?, ?)", values)
    database.close()
    listed = {one["name"]: one for one in run("destinations", "list", "--routes", empty, "--json").json}
    folder = listed["folder"]
    assert (folder["state"], folder["reason"]) == ("opening", "the disk is not there")
    assert (folder["since"], folder["next_try"]) == ("2023-11-14T22:13:20+00:00", "2023-11-14T22:14:20+00:00")
    shown = run("destinations", "list", "--routes", empty).words
    assert "opening the disk is not there since 2023-11-14" in shown
