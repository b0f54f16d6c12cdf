"""Mistakes in settings: where, what was found, what to do, and the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pydantic_core import PydanticCustomError

Place = tuple[str | int, ...]
"""Keys and indexes inside a table."""

MISTAKE = "mistake"
"""Type of the pydantic errors that already know what was found and the remedy."""


def mistake(found: str, remedy: str) -> PydanticCustomError:
    """Make the error that a validator raises when it knows the remedy."""
    return PydanticCustomError(MISTAKE, "{found}", {"found": found, "remedy": remedy})


def mistakes(found: Iterable[tuple[Place, str, str]]) -> PydanticCustomError:
    """Make the error of a validator that knows several mistakes: the place inside its value, what, and the remedy."""
    told = list(found)
    text = "; ".join(what for _, what, _ in told)
    return PydanticCustomError(MISTAKE, "{found}", {"found": text, "remedy": told[0][2], "inside": told})


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Find the name that was probably meant."""
    known = list(names)
    for candidate in known:
        if candidate.casefold() == name.casefold():
            return candidate
    folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None
