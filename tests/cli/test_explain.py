"""``gateway explain``: what would become of a notification, with nothing sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.store.engine.connect import open_database
from gateway.store.work import questions
from gateway.store.work.questions import FormOf, Question
from tests.cli.conftest import SECRETS, Run

PAYLOAD = {"key": "n1", "webserviceId": "acme$$1$$Published$$2", "submissionKey": "r1", "event": "create"}


def payload(site: Path, /, **properties: Any) -> Path:
    file = site.with_name("payload.json")
    file.write_text(json.dumps({**PAYLOAD, **properties}))
    return file


def record(site: Path, /, **answers: str) -> Path:
    file = site.with_name("record.json")
    fields = [{"name": name, "data": "text", "text": text} for name, text in answers.items()]
    file.write_text(json.dumps({"key": "r1", "id": "17", "fields": fields}))
    return file


@pytest.fixture(autouse=True)
def _known(secrets: None) -> None:
    """Secrets can be looked up unless a test says otherwise."""


def test_it_tells_which_routes_match_and_why_and_what_would_be_sent(run: Run, site: Path) -> None:
    asked = ["--record", record(site, risk="High", site="Dock 4"), "--routes", site]
    explained = run("explain", payload(site), *asked)
    assert explained.status == 0, explained.err
    for text in (
        "web service inspection (acme$$1$$Published$$2)",
        "mode immediate: expected",
        "fetches record",
        "inspections yes account, form, project and event match",
        "statuses no the event is create, the route takes status",
        "inspections → service",
        "sent (does not count)",
        "/inspections/Dock%204",
    ):
        assert text in explained.words
    assert not site.with_name("files").exists()
    assert not site.with_name("gateway.db").exists()


def test_json_is_one_object_and_shows_no_secret(run: Run, site: Path) -> None:
    asked = ["--record", record(site, risk="High", site=SECRETS["TOKEN"]), "--routes", site, "--json"]
    explained = run("explain", payload(site), *asked)
    one = explained.json
    assert (one["notification"], one["mode"], one["fetches"]) == ("n1", "immediate", ["record"])
    assert [(each["destination"], each["result"]) for each in one["deliveries"]] == [
        ("folder", "sent"),
        ("service", "sent"),
    ]
    assert not any(secret in explained.out for secret in SECRETS.values())


def test_it_tells_where_the_record_and_the_routes_do_not_fit(run: Run, site: Path) -> None:
    asked = ["--record", record(site, rsk="High", site="Dock 4", hazard="Gas"), "--routes", site]
    explained = run("explain", payload(site), *asked)
    assert "not asked for rsk, hazard" in explained.words
    told = "not in record risk, asked for by route inspections, delivery service, `when`; did you mean rsk?"
    assert told in explained.words
    one = run("explain", payload(site), *asked, "--json").json
    assert one["not_asked_for"] == ["rsk", "hazard"]
    assert one["not_in_record"] == [
        {"question": "risk", "asked_by": ["route inspections, delivery service, `when`"], "meant": "rsk"}
    ]
    deleted = run("explain", payload(site, event="delete"), *asked, "--json").json
    assert (deleted["not_asked_for"], deleted["not_in_record"]) == ([], [])


def test_a_when_that_is_false_is_told(run: Run, site: Path) -> None:
    explained = run("explain", payload(site), "--record", record(site, risk="Low"), "--routes", site)
    assert "skipped (does not count): its `when` is false for this record" in explained.words


def test_without_the_record_what_needs_it_stays_open(run: Run, site: Path) -> None:
    assert (
        "unknown: it needs the record: give it with --record FILE"
        in run("explain", payload(site), "--routes", site).words
    )


def test_a_delete_fetches_nothing(run: Run, site: Path) -> None:
    words = run("explain", payload(site, event="Deleted"), "--routes", site).words
    assert "event delete" in words
    assert "fetches nothing" in words


@pytest.mark.parametrize(("event", "told"), [(None, "event update"), ("status", "event status")])
def test_the_paths_event_can_be_given_where_the_body_tells_none(
    run: Run, site: Path, event: str | None, told: str
) -> None:
    options = [] if event is None else ["--event", event]
    assert told in run("explain", payload(site, event=None), *options, "--routes", site).words


def test_a_web_service_that_is_not_in_the_file_is_unmatched(run: Run, site: Path) -> None:
    words = run("explain", payload(site, webserviceId="stranger$$1"), "--routes", site).words
    assert "web service not in the routes file (stranger$$1)" in words
    assert "mode unmatched: its web service is not in the routes file: unmatched = 'keep' decides" in words


def test_it_works_without_the_secrets_and_says_so(run: Run, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name)
    explained = run("explain", payload(site), "--record", record(site, risk="Low"), "--routes", site)
    assert explained.status == 0
    assert "Some references could not be looked up; stand-ins take their place." in explained.err


def test_a_body_that_is_no_notification_is_told_as_doforms_would_be(run: Run, site: Path) -> None:
    explained = run("explain", payload(site, key=7), "--routes", site)
    assert (explained.status, explained.out) == (1, "")
    assert "payload.json: `key` is a number; it must be a text" in explained.err


def test_a_record_that_is_none_is_told(run: Run, site: Path) -> None:
    file = site.with_name("wrong.json")
    file.write_text("[]")
    explained = run("explain", payload(site), "--record", file, "--routes", site)
    assert explained.status == 1
    assert "wrong.json: doForms answered with JSON that is no record" in explained.err


def test_a_file_that_is_not_there_is_status_2(run: Run, site: Path) -> None:
    for files in ([site.with_name("none.json")], [payload(site), "--record", site.with_name("none.json")]):
        explained = run("explain", *files, "--routes", site)
        assert explained.status == 2
        assert "none.json cannot be read: No such file or directory" in explained.err


def test_a_name_that_other_records_had_in_another_place_is_told_as_ambiguous(run: Run, empty: Path) -> None:
    database = open_database(f"sqlite:///{empty.with_name('gateway.db')}")
    with database.write() as connection:
        came = [Question(path=path, kind="text", first_at=1, seen=1, last=1) for path in ("", "after.risk")]
        questions.save(connection, FormOf(PAYLOAD["webserviceId"]), came)
    database.close()
    asked = ["--record", record(empty, risk="High", site="Dock 4"), "--routes", empty]
    told = (
        "ambiguous risk stands in several places, asked for by route inspections, delivery service, `when`; "
        "ask for one of its paths: after.risk or risk"
    )
    assert told in run("explain", payload(empty), *asked).words
    [one] = run("explain", payload(empty), *asked, "--json").json["in_several_places"]
    assert (one["question"], one["paths"]) == ("risk", ["after.risk", "risk"])
    assert run("explain", payload(empty, event="delete"), *asked, "--json").json["in_several_places"] == []


def test_a_store_that_cannot_be_read_is_no_hindrance(run: Run, site: Path) -> None:
    site.with_name("gateway.db").write_bytes(b"no database at all, but long enough to be looked at" * 20)
    explained = run("explain", payload(site), "--record", record(site, risk="High"), "--routes", site)
    assert explained.status == 0
    assert "What other records brought is not looked at: the store cannot be read" in explained.err


def test_a_record_that_is_not_that_of_the_notification_is_warned_of(run: Run, site: Path) -> None:
    given = record(site, risk="High", site="Dock 4")
    assert "holds the record" not in run("explain", payload(site), "--record", given, "--routes", site).err
    explained = run("explain", payload(site, submissionKey="r2"), "--record", given, "--routes", site)
    assert explained.status == 0
    assert "record.json holds the record 'r1', and the notification speaks of 'r2': is it the right file?" in (
        explained.err
    )
