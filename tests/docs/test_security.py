"""The page about security names tests that are there."""

from __future__ import annotations

import re

from tests.support.pages import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_each_row_names_tests_that_are_there() -> None:
    named = {path for line in PAGE.splitlines() for path in re.findall(r"`((?:tests|plugins)/[\w/]+\.py)`", line)}
    assert len(named) > 40
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


def test_each_attack_says_what_stops_it_and_what_remains() -> None:
    attacks = [line for line in PAGE.splitlines() if re.search(r"`(tests|plugins)/", line)]
    assert all(len(line.split(" | ")) == 4 for line in attacks)
    assert all(cell.strip() for line in attacks for cell in line.strip("|").split(" | "))
