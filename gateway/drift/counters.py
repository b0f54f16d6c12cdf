"""Counts the questions of records in memory, until the counts are written to the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.store.engine.sanitize import clean

MOST = 2000
"""Questions of one form that are remembered; those beyond are ignored."""
LONGEST = 500
"""Characters of a path that is remembered."""


def counted_by(path: str) -> str:
    """Return the path whose count numbers this one: the form, or the rows of the table in which it stands."""
    head = path[:-2] if path.endswith("[]") else path
    index = head.rfind("[].")
    return path[: index + 2] if index >= 0 else ""


@dataclass(slots=True)
class Tally:
    """In which records a question was: how many, and the numbers of the first and the last of them."""

    kind: str
    first: int
    last: int
    seen: int


@dataclass(slots=True)
class Counts:
    """What came of one form since it was written last."""

    tallies: dict[str, Tally] = field(default_factory=dict)

    def count(self, kinds: Mapping[str, str]) -> None:
        """Count one record by the kinds of its values; tables come before what stands in their rows."""
        self._met("", "")
        for path, kind in kinds.items():
            if path:
                self._met(path, kind)

    def _met(self, path: str, kind: str) -> None:
        tally = self.tallies.get(path)
        if tally is None:
            if len(self.tallies) > MOST or len(path) > LONGEST or clean(path) != path:
                return
            tally = self.tallies[path] = Tally(kind, 0, 0, 0)
        owner = self.tallies.get(counted_by(path)) if path else None
        tally.seen += 1
        tally.last = owner.seen if owner is not None else tally.seen
        tally.first = tally.first or tally.last
        tally.kind = kind
