"""Sizes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from gateway.config.sizes import parse_size, say_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("512B", 512), ("64MB", 64_000_000), (" 1.5 GB ", 1_500_000_000), ("2TB", 2 * 10**12), ("8kB", 8_000)],
)
def test_a_size_is_a_number_and_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("value", [64, 1.5, True, None, "", "64", "MB", "-1MB", "64mb", "64 MiB", "1e3MB"])
def test_anything_else_is_no_size_and_the_remedy_names_the_units(value: Any) -> None:
    with pytest.raises(PydanticCustomError, match="is no size"):
        parse_size(value)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (999, "999B"), (64_000_000, "64MB"), (1_500_000_000, "1.5GB"), (123_456_789, "123.5MB")],
)
def test_a_size_is_said_in_the_largest_unit_that_it_fills(size: int, text: str) -> None:
    assert say_size(size) == text
