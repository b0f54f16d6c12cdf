"""Texts that come from outside (errors, answers) as a text column takes them."""

from __future__ import annotations

_LONGEST = 4000


def clean(text: str) -> str:
    """Return a text without NUL and lone surrogates, which PostgreSQL and the driver refuse, and not too long."""
    kept = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return kept.encode("utf-8", "replace").decode("utf-8")[:_LONGEST]
