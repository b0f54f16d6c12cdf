"""The examples and tables of the README."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gateway_database import Database
from gateway_database.options import DatabaseSettings, Write

from gateway.api import Use
from gateway.testing import ReadmeConformance, load_example, make_context, settings, toml_blocks

README = Path(__file__).parent.parent / "README.md"
PAGE = README.read_text(encoding="utf-8")
STATEMENTS = re.findall(r"^    (CREATE .*?);$", PAGE, re.DOTALL | re.MULTILINE)


class TestReadme(ReadmeConformance):
    destination = Database
    readme = README


async def test_the_statements_make_tables_that_fit_the_examples(place: Any) -> None:
    own = {"postgresql": "forms.", "mariadb": "ENGINE"}
    of_others = [mark for kind, mark in own.items() if kind != place.kind]
    mine = own.get(place.kind, "")
    place.run(*[one for one in STATEMENTS if mine in one and not any(mark in one for mark in of_others)])
    examples = dict(zip(("sqlite", "postgresql", "mariadb"), toml_blocks(README), strict=False))
    [route] = load_example(examples[place.kind], Database).routes
    [delivery] = route.deliveries
    destination = Database(settings(DatabaseSettings, **place.settings), make_context("warehouse"))
    assert await destination.check([Use(route="r", delivery="d", options=delivery.options)]) == []
    await destination.close()


def test_every_way_of_writing_is_described() -> None:
    assert all(f"| `{write.value}` |" in PAGE for write in Write)
