"""Durations and rates as the routes file writes them: ``"500ms"``, ``"6h"``, ``"10/s"``."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, PlainValidator

from gateway.config.diagnostics import show
from gateway.mistakes import mistake
from gateway.models import Rate

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds of each unit."""

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")
_RATE = re.compile(r"\s*(\d+)\s*/\s*(\d+(?:\.\d+)?)?\s*(ms|s|m|h|d)\s*")
_DURATION_REMEDY = 'Write a number and ms, s, m, h or d, such as "500ms", "30s" or "6h"'


def parse_duration(value: Any) -> float:
    """Read a duration as seconds; zero is allowed."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise mistake(f"{show(value)} is no duration", _DURATION_REMEDY)
    return round(float(match[1]) * UNITS[match[2]], 6)


def parse_positive_duration(value: Any) -> float:
    """Read a duration that must be longer than nothing, as seconds."""
    seconds = parse_duration(value)
    if seconds <= 0:
        raise mistake(f"{show(value)} is no time at all", "Write a duration above zero")
    return seconds


def parse_rate(value: Any) -> Rate:
    """Read a rate such as ``10/s``, ``600/m`` or ``5/10s``."""
    if isinstance(value, Rate):
        return value
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0 or (match[2] and float(match[2]) == 0):
        raise mistake(
            f"{show(value)} is no rate", 'Write how many in how long, such as "10/s", "600/m" or "5/10s", above zero'
        )
    return Rate(count=int(match[1]), per=round(float(match[2] or 1) * UNITS[match[3]], 6))


def say_duration(seconds: float) -> str:
    """Write seconds as the routes file does, in the largest unit that keeps it short: ``0.9 s``, ``6 h``."""
    for unit in ("d", "h", "m"):
        if seconds >= UNITS[unit] and seconds % UNITS[unit] == 0:
            return f"{seconds / UNITS[unit]:.0f} {unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + " s"


Duration: TypeAlias = Annotated[float, BeforeValidator(parse_duration)]
"""A field that takes a duration; zero is allowed."""

PositiveDuration: TypeAlias = Annotated[float, BeforeValidator(parse_positive_duration)]
"""A field that takes a duration above zero."""

RateText: TypeAlias = Annotated[Rate, PlainValidator(parse_rate)]
"""A field that takes a rate."""
