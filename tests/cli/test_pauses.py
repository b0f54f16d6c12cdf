"""Holding destinations back, letting destinations and web services go on, and seeing what waits."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.store.connect import open_database
from gateway.store.migrate import migrate
from tests.cli.conftest import Run


@pytest.fixture
def empty(site: Path) -> Path:
    """Return a routes file with an empty store."""
    database = open_database(f"sqlite:///{site.with_name('gateway.db')}")
    migrate(database)
    database.close()
    return site


def test_destinations_are_listed_with_what_waits_for_them(run: Run, filled: Path) -> None:
    listed = {one["name"]: one for one in run("destinations", "list", "--routes", filled, "--json").json}
    assert set(listed) >= {"folder", "service"}
    assert (listed["folder"]["plugin"], listed["folder"]["state"]) == ("file", "ready")
    assert sum(one["waiting"] + one["dead"] for one in listed.values()) > 0
    assert "folder" in run("destinations", "list", "--routes", filled).words


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
    assert "folder file paused 0 0 moving the disk" in shown
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
    assert run("webservices", "resume", "inspection", "--routes", empty).status == 0
    assert run("webservices", "resume", "inspection", "--routes", empty).status == 1
    [listed] = run("webservices", "list", "--routes", empty, "--json").json
    assert (listed["state"], listed["until"]) == ("ready", None)
