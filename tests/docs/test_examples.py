"""The TOML of the pages: each block can be loaded, alone or below the page's first, or says that it is only a part."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.testing import load_example, toml_blocks
from tests.support.pages import PAGES, name_of, shown_commands

BELOW = "# Goes below the whole example."
"""First line of a block that is loaded together with the page's first one."""
PARTS = ("# Part of a routes file", "# file: ")
"""How a block begins that nothing can be loaded of: a part, or another file (built by test_third_party_plugin.py)."""


def examples(*, parts: bool) -> Iterator[Any]:
    for page in PAGES:
        first, *_ = blocks = toml_blocks(page) or [""]
        for number, block in enumerate(blocks):
            if block and block.startswith(PARTS) is parts:
                whole = f"{first}\n{block}" if block.startswith(BELOW) else block
                yield pytest.param(whole, id=f"{name_of(page)}-{number}")


@pytest.mark.parametrize("example", list(examples(parts=False)))
def test_an_example_can_be_loaded(example: str) -> None:
    assert load_example(example).destinations is not None


@pytest.mark.parametrize("page", [page for page in PAGES if ["simulate"] in [one[:1] for one in shown_commands(page)]])
def test_a_page_that_starts_the_simulator_never_leads_to_doforms_itself(page: Path) -> None:
    accounts = load_example(toml_blocks(page)[0]).accounts.values()
    assert {account.api for account in accounts} == {"http://127.0.0.1:8900/api/v2"}


@pytest.mark.parametrize("example", list(examples(parts=True)))
def test_a_part_of_a_file_is_toml(example: str) -> None:
    assert tomllib.loads(example)
