"""The path of a request: what means the webhook, and what is said of another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.paths import EVENT_PATHS, plain, shown, suffix_of, why_not

WEBHOOK = "/webhooks/doforms"


@pytest.mark.parametrize(
    ("path", "suffix"),
    [
        ("/webhooks/doforms", ""),
        ("/webhooks/doforms/", ""),
        ("//webhooks/doforms", ""),
        ("/webhooks///doforms//", ""),
        ("/webhooks/./doforms/.", ""),
        ("/old/../webhooks/doforms", ""),
        ("/../webhooks/doforms/added/..", ""),
        ("/webhooks/doforms/added/", "/added"),
        ("/webhooks/doforms//EDITED", "/edited"),
        ("/webhooks/doforms/Deleted", "/deleted"),
        ("/webhooks/doforms/x/../sTatus//", "/status"),
        ("/webhooks/doforms/create", None),
        ("/webhooks/doformsadded", None),
        ("/webhooks/doforms/added/more", None),
        ("/gateway/webhooks/doforms", None),
        ("/Webhooks/doforms", None),
        ("/webhooks", None),
        ("/", None),
        ("", None),
    ],
)
def test_path_is_the_webhooks_however_it_is_spelled(path: str, suffix: str | None) -> None:
    assert suffix_of(path, WEBHOOK) == suffix


@given(st.lists(st.sampled_from(["/", "//", "/./", "///"]), min_size=3, max_size=3), st.sampled_from([*EVENT_PATHS]))
def test_slashes_and_single_dots_never_matter(between: list[str], suffix: str) -> None:
    path = f"{between[0]}webhooks{between[1]}doforms{suffix.upper()}{between[2]}"
    assert suffix_of(path, WEBHOOK) == suffix


@given(st.text())
def test_any_path_becomes_a_plain_one_and_can_be_told(path: str) -> None:
    found = plain(path)
    assert found == plain(found)
    assert "//" not in found
    assert len(shown(path)) <= 201
    assert shown(path).isprintable() or "\u200d" in path or not path.isascii()
    assert why_not(path, WEBHOOK)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/gw/webhooks/doforms/added", ["keeps the prefix /gw:", '[webhook] path = "/gw/webhooks/doforms"']),
        ("/doforms", ["takes /webhooks off", '[webhook] path = "/doforms"']),
        ("/doforms/added", ["takes /webhooks off", '[webhook] path = "/doforms"']),
        ("/WEBHOOKS/doForms", ["capitals from small letters"]),
        ("/webhooks/doforms/create", ["there are only /added, /edited, /deleted, /status"]),
        ("/elsewhere", ["must have the path /webhooks/doforms"]),
        ("/", ["must have the path /webhooks/doforms"]),
        ("/\x1b[2J\u202e/webhooks/doforms", ["\\x1b[2J\\u202e"]),
    ],
)
def test_another_path_is_told_with_the_remedy(path: str, words: list[str]) -> None:
    told = why_not(path, WEBHOOK)
    assert all(word in told for word in words), told


def test_long_path_is_cut() -> None:
    assert len(why_not("/" + "x" * 60_000 + WEBHOOK, WEBHOOK)) < 1000
