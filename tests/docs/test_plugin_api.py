"""The page of what plugins may use says what the docstrings say, and says something of each name."""

from __future__ import annotations

import re

import pytest

from gateway import api, testing
from gateway.reference.plugin_api import describe_api
from tests.support.pages import ROOT


def test_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "plugin-api.md").read_text(encoding="utf-8")
    assert page == describe_api(), "run `make docs`"


@pytest.mark.parametrize("name", [*api.__all__, *testing.__all__])
def test_name_has_an_entry_with_a_text(name: str) -> None:
    entry = re.search(
        rf"^(### `class {name}\b[^\n]*`\n\n\S|- `(async )?{name}(\(| = )[^\n]*`: \S)", describe_api(), re.MULTILINE
    )
    assert entry is not None


def test_page_is_short_enough_to_be_read() -> None:
    assert len(describe_api().splitlines()) < 350
