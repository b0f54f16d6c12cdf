"""``gateway notifications``: what came, for the person who must find out what happened to one record."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import LONG_KEY, RECORD, Run


def keys(run: Run, filled: Path, *options: str) -> list[str]:
    return [one["key"] for one in run("notifications", "list", "--routes", filled, "--json", *options).json]


def test_the_newest_comes_first(run: Run, filled: Path) -> None:
    assert keys(run, filled) == ["unmatched", "unmatched", "waiting", "doubtful", "delivered"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--record", "r2"], ["doubtful"]),
        (["--event", "update"], ["doubtful"]),
        (["--outcome", "completed"], ["delivered"]),
        (["--outcome", "failed"], ["doubtful"]),
        (["--outcome", "open"], ["unmatched", "unmatched", "waiting"]),
        (["--unmatched"], ["unmatched", "unmatched"]),
        (["--webservice", "inspection", "--limit", "1"], ["waiting"]),
        (["--since", "1h", "--event", "update"], ["doubtful"]),
        (["--since", "2026-01-31T08:00Z", "--event", "update"], ["doubtful"]),
        (["--since", "9999-01-01"], []),
        (["--record", "none"], []),
    ],
)
def test_a_list_can_be_narrowed(run: Run, filled: Path, options: list[str], found: list[str]) -> None:
    assert keys(run, filled, *options) == found


def test_a_list_tells_at_a_glance_what_became_of_each(run: Run, filled: Path) -> None:
    listed = run("notifications", "list", "--routes", filled)
    assert listed.status == 0
    for line in (
        "update failed doubtful Site inspection, record r2 1 dead, 1 delivered; not told: doForms refused the report",
        "create completed delivered Site inspection, record r1 1 delivered, 1 skipped; told in the answer",
        f"create open waiting Site inspection, record {LONG_KEY} 2 pending",
        "create open unmatched stranger$$1, record r1 unmatched: its web service is not in the routes file",
    ):
        assert line in listed.words


def test_an_empty_list_says_so(run: Run, filled: Path) -> None:
    assert run("notifications", "list", "--routes", filled, "--record", "none").out == "No notification fits.\n"


def test_one_is_shown_whole(run: Run, filled: Path) -> None:
    shown = run("notifications", "show", "delivered", "--routes", filled)
    assert shown.status == 0
    for text in (
        "web service inspection (acme$$1$$Published$$2)",
        "created 2026-01-02",
        "repeats 1",
        "mode delayed: an earlier delivery of the same record still waits",
        "answer 200, completed",
        "fetch pinned",
        "outcome completed",
        "doForms told in the answer",
        "delivered route → folder files/r1.json (88 bytes)",
        "skipped route → service its `when` is false for this record",
        'The submission as fetched: {"key": "r1", "id": "17", "fields": [{"name": "site"',
        "The notification as it came: {}",
    ):
        assert text in shown.words


def test_one_that_waits_says_why_and_until_when(run: Run, filled: Path) -> None:
    words = run("notifications", "show", "waiting", "--routes", filled).words
    assert "fetch failed 1 time: the record could not be fetched: doForms answered 503" in words
    assert "<html>Try [later]</html>" in words
    assert "route → folder next 20" in words


def test_json_of_one_is_one_object_with_everything(run: Run, filled: Path) -> None:
    one = run("notifications", "show", "doubtful", "--routes", filled, "--json").json
    assert (one["key"], one["outcome"], one["report"], one["report_reason"]) == (
        "doubtful",
        "failed",
        "refused",
        "doForms answered 400: no",
    )
    assert one["deliveries"] == {"dead": 1, "delivered": 1}
    assert [each["state"] for each in one["all_deliveries"]] == ["dead", "delivered"]
    assert one["received"].endswith("+00:00")


def test_one_that_is_not_there_is_status_1(run: Run, filled: Path) -> None:
    shown = run("notifications", "show", "nope", "--routes", filled)
    assert (shown.status, shown.out) == (1, "")
    assert shown.err == (
        "Error: no notification with the key 'nope' is in the store; see `gateway notifications list`\n"
    )


def test_a_key_that_several_web_services_use_asks_which(run: Run, filled: Path) -> None:
    shown = run("notifications", "show", "unmatched", "--routes", filled)
    assert shown.status == 2
    assert "several web services have sent the key 'unmatched': stranger$$2, stranger$$1. Add --webservice" in shown.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--outcome", "lost"], "--outcome 'lost' is not known: completed, failed or open"),
        (["--event", "lost"], "'lost'"),
        (["--since", "yesterday"], "neither a time such as"),
        (["--since", "99999999999999d"], "neither a time such as"),
        (["--limit", "0"], "greater than or equal to 1"),
        (["--colour"], "No such option"),
    ],
)
def test_wrong_options_are_status_2(run: Run, filled: Path, options: list[str], told: str) -> None:
    listed = run("notifications", "list", "--routes", filled, *options)
    assert (listed.status, listed.out) == (2, "")
    assert told in " ".join(listed.err.split())


def test_body_and_record_are_printed_alone_for_explain(run: Run, filled: Path) -> None:
    assert run("notifications", "show", "delivered", "--routes", filled, "--record").out == f"{RECORD.decode()}\n"
    assert run("notifications", "show", "delivered", "--routes", filled, "--body").out == "{}\n"
    none = run("notifications", "show", "waiting", "--routes", filled, "--record")
    assert (none.status, none.out) == (1, "")
    assert "no record is kept of waiting: its fetch is due" in none.err
    both = run("notifications", "show", "waiting", "--routes", filled, "--record", "--body")
    assert both.status == 2


def test_a_record_of_which_nothing_is_kept_says_where_to_look_next(run: Run, filled: Path) -> None:
    none = run("notifications", "list", "--record", "nowhere", "--routes", filled)
    assert (none.status, none.out) == (0, "No notification fits.\n")
    for command in ("gateway alarms", "gateway quarantine list", "gateway reconcile --books --until 0s"):
        assert f"`{command}`" in none.err
    narrowed = run("notifications", "list", "--record", "nowhere", "--event", "delete", "--routes", filled)
    assert (narrowed.out, narrowed.err) == ("No notification fits.\n", "")
