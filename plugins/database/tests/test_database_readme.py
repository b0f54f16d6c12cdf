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
    postgresql = place.kind == "postgresql"
    place.run(*[statement for statement in STATEMENTS if ("forms." in statement) == postgresql])
    insert, mirror, _ = (load_example(block, Database) for block in toml_blocks(README))
    [route] = (mirror if postgresql else insert).routes
    [delivery] = route.deliveries
    destination = Database(settings(DatabaseSettings, **place.settings), make_context("warehouse"))
    assert await destination.check([Use(route="r", delivery="d", options=delivery.options)]) == []
    await destination.close()


def test_every_way_of_writing_is_described() -> None:
    assert all(f"| `{write.value}` |" in PAGE for write in Write)
