"""Patterns of names, as routes have them for accounts, forms and projects."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Return the pattern as a regular expression, or None for one without special characters."""
    if "*" not in pattern and "?" not in pattern:
        return None
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.compile("".join(parts), re.DOTALL)


def fits(pattern: str, name: str) -> bool:
    """Tell whether a name fits a pattern: case-sensitive, only ``*`` and ``?`` are special."""
    compiled = _compiled(pattern)
    return pattern == name if compiled is None else compiled.fullmatch(name) is not None
