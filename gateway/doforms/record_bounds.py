"""The bounds of a record: a larger one is not decoded."""

from __future__ import annotations

import re
from typing import Any

from gateway.doforms.failures import TooLarge

MOST_VALUES = 1_500_000
"""Values and names in the JSON of a record: some 150,000 questions as doForms writes them."""
DEEPEST = 900
"""Levels of objects and arrays in the JSON of a record."""
MOST_QUESTIONS = 100_000
"""Paths of a record: its questions, and those of the rows of its tables, each once."""
LONGEST_PATH = 1_000
"""Characters of the path of a question: the names of the sections around it, and its own."""
LONGEST_NUMBER = 100_000
"""Digits of a number; one with more stays a text."""
_MARKS = b",:[{"
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def check_size(raw: bytes) -> None:
    """Refuse the JSON of a record that holds too much.

    Raises:
        TooLarge: saying what the bound is.
    """
    if holds_more(raw, MOST_VALUES):
        raise TooLarge(f"it holds more than {MOST_VALUES} values and names; so many are not taken apart")


def _marks(raw: bytes) -> int:
    return sum(raw.count(mark) for mark in _MARKS)


def holds_more(raw: bytes, most: int) -> bool:
    """Tell whether JSON holds more values and names, without parsing it."""
    if len(raw) <= most or _marks(raw) <= most:
        return False
    place = found = 0
    for text in _TEXT.finditer(raw):
        found += _marks(raw[place : text.start()])
        place = text.end()
        if found > most:
            return True
    return found + _marks(raw[place:]) > most


def check_depth(raw: bytes, data: Any) -> None:
    """Refuse parsed JSON that is nested too deep.

    Raises:
        TooLarge: saying what the bound is.
    """
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST:
        return
    level = [data]
    for _ in range(DEEPEST):
        level = [
            item
            for value in level
            for item in (value.values() if isinstance(value, dict) else value)
            if isinstance(item, (dict, list)) and item
        ]
        if not level:
            return
    raise TooLarge(f"it is nested deeper than {DEEPEST} levels")


def below(prefix: str, name: str) -> str:
    """Return how the paths begin of what stands in a section.

    Raises:
        TooLarge: no path may be so long.
    """
    if len(prefix) + len(name) >= LONGEST_PATH:
        raise _too_long(prefix + name)
    return f"{prefix}{name}."


def check_path(path: str, known: int) -> None:
    """Refuse a path that is too long, or one too many.

    Raises:
        TooLarge: saying which bound it is beyond.
    """
    if len(path) > LONGEST_PATH:
        raise _too_long(path)
    if known >= MOST_QUESTIONS:
        raise TooLarge(f"it holds more than {MOST_QUESTIONS} questions")


def _too_long(path: str) -> TooLarge:
    return TooLarge(f"a question has a path of more than {LONGEST_PATH} characters, which begins with {path[:60]!r}")
