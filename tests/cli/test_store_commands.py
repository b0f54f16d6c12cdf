"""The smaller commands on the store, and what all of them do where there is none or a strange one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.store.engine.connect import open_database
from gateway.store.work.alarms import raise_alarm
from tests.cli.conftest import Run

ON_THE_STORE = [
    ["notifications", "list"],
    ["notifications", "show", "n1"],
    ["deliveries", "list"],
    ["deliveries", "show", "1"],
    ["quarantine", "list"],
    ["quarantine", "show", "1"],
    ["alarms"],
]


def test_quarantine_lists_the_newest_first_and_why(run: Run, filled: Path) -> None:
    words = run("quarantine", "list", "--routes", filled).words
    assert words.index("`key` is missing 2 bytes to /webhooks/doforms/added from 192.0.2.7") < words.index(
        "the body is not UTF-8 text"
    )
    both = run("quarantine", "list", "--routes", filled, "--json").json
    assert [one["id"] for one in both] == [2, 1]
    assert len(run("quarantine", "list", "--routes", filled, "--json", "--limit", "1").json) == 1


def test_a_body_in_quarantine_is_shown_as_it_came_without_obeying_it(run: Run, filled: Path) -> None:
    shown = run("quarantine", "show", "1", "--routes", filled)
    assert shown.status == 0
    assert "\x1b" not in shown.out
    assert "\\x1b[2J\\xff not [json]" in shown.out
    assert "why the body is not UTF-8 text" in shown.words
    assert run("quarantine", "show", "1", "--routes", filled, "--json").json["body"] == "\x1b[2J\\xff not [json]"


@pytest.mark.parametrize(("number", "status"), [("999", 1), ("0", 2), ("99999999999999999999", 2), ("one", 2)])
def test_a_body_that_is_not_there_is_an_error(run: Run, filled: Path, number: str, status: int) -> None:
    shown = run("quarantine", "show", number, "--routes", filled)
    assert (shown.status, shown.out) == (status, "")
    assert shown.err


def test_alarms_that_are_raised_are_listed_and_with_all_those_that_ended(run: Run, filled: Path) -> None:
    raised = run("alarms", "--routes", filled)
    assert "outcome not reported: doubtful doForms answered 400: no" in raised.words
    assert "stranger$$2: its web service is not in the routes file" in raised.words
    assert "cleared" not in raised.words
    assert "stranger$$1" not in raised.words
    assert "cleared 20" in run("alarms", "--routes", filled, "--all").words
    subjects = [one["subject"] for one in run("alarms", "--routes", filled, "--json").json]
    assert sorted(subjects) == ["doubtful", "web services that are not in the routes file"]
    assert len(run("alarms", "--routes", filled, "--json", "--all").json) == 3


def test_migrate_makes_the_store_says_so_and_does_nothing_the_second_time(run: Run, site: Path) -> None:
    store = site.with_name("gateway.db")
    made = run("migrate", "--routes", site, "--json")
    assert (made.status, made.json["store"], made.json["before"]) == (0, str(store), None)
    assert f"The store {store} is at schema {made.json['after']} already." in run("migrate", "--routes", site).out
    assert run("notifications", "list", "--routes", site).out == "No notification fits.\n"
    assert run("alarms", "--routes", site).out == "No alarm is raised.\n"
    assert run("quarantine", "list", "--routes", site).out == "Nothing is in quarantine.\n"
    assert run("deliveries", "list", "--routes", site, "--json").json == []


@pytest.mark.parametrize("command", ON_THE_STORE)
def test_without_a_store_a_command_says_who_makes_it(run: Run, site: Path, command: list[str]) -> None:
    ran = run(*command, "--routes", site)
    assert (ran.status, ran.out) == (1, "")
    assert f"there is no store at {site.with_name('gateway.db')} yet: `gateway serve` or `gateway migrate`" in ran.err
    assert not site.with_name("gateway.db").exists()


def test_a_file_that_is_no_store_is_told(run: Run, site: Path) -> None:
    site.with_name("gateway.db").write_text("this is no database at all, but long enough to look like one")
    for command in (["alarms"], ["migrate"]):
        ran = run(*command, "--routes", site)
        assert ran.status == 1
        assert f"the store {site.with_name('gateway.db')} cannot be read: file is not a database" in ran.err


def test_a_store_of_another_schema_is_told(run: Run, site: Path) -> None:
    run("migrate", "--routes", site)
    with sqlite3.connect(site.with_name("gateway.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.execute("UPDATE compatibility SET oldest = '9999'")
    database.close()
    listed = run("alarms", "--routes", site)
    assert listed.status == 1
    assert "has schema 9999, this gateway works with" in listed.err
    assert run("migrate", "--routes", site).status == 1


def test_commands_on_the_store_ask_for_no_secret_and_no_plugin(run: Run, site: Path) -> None:
    run("migrate", "--routes", site)
    site.write_text(site.read_text().replace('plugin = "rest"', 'plugin = "not installed"'))
    assert run("alarms", "--routes", site).status == 0


@pytest.mark.parametrize("command", [*ON_THE_STORE, ["migrate"], ["check"], ["serve"]])
def test_a_routes_file_that_is_not_there_is_status_2(run: Run, tmp_path: Path, command: list[str]) -> None:
    ran = run(*command, "--routes", tmp_path / "none.toml")
    assert (ran.status, ran.out) == (2, "")
    assert "none.toml: file: there is no such file." in ran.err


def test_the_routes_file_may_come_from_the_environment(run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ROUTES", str(filled))
    assert len(run("alarms", "--json").json) == 2


def test_plugins_lists_what_each_takes(run: Run) -> None:
    listed = {one["name"]: one for one in run("plugins", "--json").json}
    assert {"database", "email", "file", "rest"} <= set(listed)
    assert "filename" in listed["file"]["options"]
    assert "package doforms-gateway-file" in run("plugins").words


def test_an_alarm_says_how_often_its_cause_was_met_and_can_be_cleared_by_hand(run: Run, empty: Path) -> None:
    database = open_database(f"sqlite:///{empty.with_name('gateway.db')}")
    with database.write() as connection:
        for _ in range(3):
            raise_alarm(connection, "outcome not reported", "acme$$1", "doForms answered 400")
    database.close()
    shown = run("alarms", "--routes", empty)
    assert "outcome not reported: acme$$1" in shown.words
    assert "3 times, last " in shown.words
    [one] = run("alarms", "--json", "--routes", empty).json
    assert (one["times"], one["cleared"]) == (3, None)
    assert run("alarms", "clear", str(one["id"]), "--routes", empty).status == 0
    assert run("alarms", "--routes", empty).words == "No alarm is raised."
    assert run("alarms", "--all", "--json", "--routes", empty).json[0]["cleared"] is not None
    again = run("alarms", "clear", str(one["id"]), "--routes", empty)
    assert (again.status, "is raised; see `gateway alarms`" in again.err) == (1, True)
