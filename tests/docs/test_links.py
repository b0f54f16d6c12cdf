"""The links of the pages lead somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pages import PAGES, ROOT, anchors, links, name_of


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for file, anchor in links(page):
        assert file.is_file(), f"{file} is not there"
        assert not anchor or anchor in anchors(file), f"{file} has no heading #{anchor}"


def test_the_readme_leads_to_every_page_and_to_the_example() -> None:
    reached = {file for file, _ in links(ROOT / "README.md")}
    assert {*ROOT.glob("docs/*.md"), ROOT / "routes.example.toml", ROOT / "CHANGELOG.md"} <= reached


def test_the_configuration_reference_leads_to_every_plugin() -> None:
    reached = {file for file, _ in links(ROOT / "docs" / "configuration.md")}
    assert set(ROOT.glob("plugins/*/README.md")) <= reached
