"""The examples and tables of the README."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from gateway_database import Database
from gateway_database.options import Child, DatabaseOptions, DatabaseSettings, Write

from gateway.api import Use
from gateway.testing import make_context, settings, unrendered

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", README, re.DOTALL)]
STATEMENTS = re.findall(r"^    (CREATE .*?);$", README, re.DOTALL | re.MULTILINE)
CORE = {"to", "name", "when"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_right(example: dict[str, Any]) -> None:
    [given] = example["destinations"].values()
    assert given.pop("plugin") == "database"
    destination = Database(settings(DatabaseSettings, **given), make_context("warehouse"))
    for delivery in [delivery for route in example["routes"] for delivery in route["deliver"]]:
        made = unrendered(DatabaseOptions, **{key: value for key, value in delivery.items() if key not in CORE})
        assert destination.review(made) == []


async def test_the_statements_make_tables_that_fit_the_examples(place: Any) -> None:
    if place.kind == "postgresql":
        place.run(*[statement for statement in STATEMENTS if "forms." in statement])
        [example] = [one for one in EXAMPLES if "mirror" in str(one)]
    else:
        place.run(*[statement for statement in STATEMENTS if "forms." not in statement])
        example = EXAMPLES[0]
    destination = Database(settings(DatabaseSettings, **place.settings), make_context("warehouse"))
    [given] = example["routes"][0]["deliver"]
    made = unrendered(DatabaseOptions, **{key: value for key, value in given.items() if key not in CORE})
    assert await destination.check([Use(route="r", delivery="d", options=made)]) == []
    await destination.close()


@pytest.mark.parametrize("model", [DatabaseSettings, DatabaseOptions, Child])
def test_every_setting_and_option_is_described(model: Any) -> None:
    for name, info in model.model_fields.items():
        assert f"`{info.alias or name}`" in README


def test_every_way_of_writing_is_described() -> None:
    assert all(f"| `{write.value}` |" in README for write in Write)
