"""Sizes as the routes file writes them: ``"64MB"``, ``"1.5GB"``."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator

from gateway.config.diagnostics import show
from gateway.mistakes import mistake

UNITS = {"B": 1, "kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000}
"""Bytes of each unit."""

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)\s*")


def parse_size(value: Any) -> int:
    """Read a size as bytes; zero is allowed."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise mistake(f"{show(value)} is no size", 'Write a number and B, kB, MB, GB or TB, such as "64MB"')
    return round(float(match[1]) * UNITS[match[2]])


def say_size(size: int) -> str:
    """Write bytes as the routes file does, in the largest unit that they fill: ``64MB``, ``1.5GB``."""
    unit = next((unit for unit in reversed(UNITS) if size >= UNITS[unit]), "B")
    return f"{size / UNITS[unit]:.1f}".removesuffix(".0") + unit


Size: TypeAlias = Annotated[int, BeforeValidator(parse_size)]
"""A field that takes a size; zero is allowed."""
