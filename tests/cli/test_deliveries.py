"""``gateway deliveries``: what went, goes or could not go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run


def listed(run: Run, filled: Path, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("deliveries", "list", "--routes", filled, "--json", *options).json
    return found


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["waiting", "waiting", "doubtful", "doubtful", "delivered", "delivered"]),
        (["--state", "dead"], ["doubtful"]),
        (["--state", "skipped"], ["delivered"]),
        (["--state", "dropped"], []),
        (["--notification", "doubtful"], ["doubtful", "doubtful"]),
        (["--record", "r1"], ["delivered", "delivered"]),
        (["--destination", "service", "--limit", "2"], ["waiting", "doubtful"]),
        (["--route", "another"], []),
        (["--since", "9999-01-01"], []),
    ],
)
def test_a_list_can_be_narrowed_and_comes_newest_first(
    run: Run, filled: Path, options: list[str], found: list[str]
) -> None:
    assert [one["notification"] for one in listed(run, filled, *options)] == found


def test_a_list_says_where_to_why_and_when_next(run: Run, filled: Path) -> None:
    words = run("deliveries", "list", "--routes", filled).words
    for text in (
        "dead (in doubt) route → folder notification doubtful 2 attempts in doubt: no answer within its time limit",
        "delivered route → service notification doubtful 3 attempts 200",
        "delivered route → folder notification delivered files/r1.json (88 bytes)",
        "pending route → folder notification waiting next 20",
    ):
        assert text in words


def test_an_empty_list_says_so(run: Run, filled: Path) -> None:
    assert run("deliveries", "list", "--routes", filled, "--route", "another").out == "No delivery fits.\n"


def test_one_is_shown_with_its_attempts_and_what_was_sent_by_id_or_key(run: Run, filled: Path) -> None:
    [dead] = listed(run, filled, "--state", "dead")
    by_id = run("deliveries", "show", str(dead["id"]), "--routes", filled)
    by_key = run("deliveries", "show", dead["delivery_key"], "--routes", filled)
    assert (by_id.status, by_id.out) == (0, by_key.out)
    for text in (
        "state dead (in doubt)",
        "attempts 2",
        "reason in doubt: no answer within its time limit of 30 s",
        f"delivery key {dead['delivery_key']}",
        "unavailable the disk is full",
        "uncertain in doubt: no answer",
        'What is sent, as rendered at the first attempt: { "filename": "r1.json" }',
    ):
        assert text in by_id.words


def test_json_of_one_is_one_object_with_its_history(run: Run, filled: Path) -> None:
    [dead] = listed(run, filled, "--state", "dead")
    one = run("deliveries", "show", str(dead["id"]), "--routes", filled, "--json").json
    assert [(each["number"], each["result"]) for each in one["history"]] == [(1, "unavailable"), (2, "uncertain")]
    assert (one["in_doubt"], one["sent"]) == (True, {"filename": "r1.json"})


@pytest.mark.parametrize("which", ["999", "99999999999999999999999", "²", "nope", "-"])
def test_one_that_is_not_there_is_status_1(run: Run, filled: Path, which: str) -> None:
    shown = run("deliveries", "show", "--routes", filled, which)
    assert (shown.status, shown.out) == (1, "")
    assert f"no delivery has the id or delivery key {which!r}" in shown.err


def test_none_is_listed_as_sent_without_an_attachment_that_had_them_all(run: Run, filled: Path) -> None:
    assert run("deliveries", "list", "--routes", filled, "--json", "--attachment-missing").json == []
    none = run("deliveries", "replay", "--routes", filled, "--attachment-missing", "--force", "--yes")
    assert none.status == 1
    assert "no delivery fits that is delivered" in none.err
