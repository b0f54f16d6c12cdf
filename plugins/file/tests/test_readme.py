"""The examples and tables of the README."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_file import File
from pydantic import SecretStr

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", README, re.DOTALL)]
CORE = {"to", "name", "when"}


def resolved(table: dict[str, Any]) -> dict[str, Any]:
    return {key: _looked_up(key, value) for key, value in table.items()}


def _looked_up(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return resolved(value)
    reference = re.match(r"(env|file):(?!//)", str(value))
    return value if not reference else SecretStr("secret")


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_right(
    example: dict[str, Any], folder: Callable[..., File], unrendered: Callable[..., Any]
) -> None:
    [settings] = [resolved(table) for table in example["destinations"].values()]
    assert settings.pop("plugin") == "file"
    settings["root"] = settings["root"].replace("s3://", "memory://")  # s3fs need not be installed here
    destination = folder(**settings)
    for delivery in [delivery for route in example.get("routes", []) for delivery in route["deliver"]]:
        options = unrendered(**{key: value for key, value in delivery.items() if key not in CORE})
        assert destination.review(options) == []


@pytest.mark.parametrize("model", [File.Settings, File.Options])
def test_every_setting_and_option_is_described(model: Any) -> None:
    for name, info in model.model_fields.items():
        assert f"`{info.alias or name}`" in README
