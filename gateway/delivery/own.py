"""A record of its own for each attempt: what a plugin changes in it must not reach another destination or attempt."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from gateway.answers import Answers
from gateway.models import Record


def own(record: Record) -> Record:
    """Return a copy of a record whose tables, lists and objects nobody else has.

    What stands in it several times, such as the rows of a table in ``fields``, ``tables`` and ``paths``, is one thing
    in the copy, too.
    """
    copied = _Copied()
    made = replace(
        record,
        fields=copied.of(record.fields),
        tables=copied.of(record.tables),
        paths=copied.of(record.paths),
        kinds=dict(record.kinds),
        raw=copied.of(record.raw),
    )
    copied.complete()
    return made


class _Copied:
    """What was copied already; the levels are gone through one after the other, as they may be many."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}
        self._pending: list[Any] = []

    def of(self, value: Any) -> Any:
        """Return the copy of a value, which may still hold what the original holds."""
        if not isinstance(value, (dict, list)):
            return value
        made = self._made.get(id(value))
        if made is None:
            made = self._made[id(value)] = value.copy() if type(value) in (dict, list) else copy.copy(value)
            self._pending.append(made)
        return made

    def complete(self) -> None:
        """Copy what is inside."""
        pending, of = self._pending, self.of
        while pending:
            made = pending.pop()
            if isinstance(made, list):
                for index, item in enumerate(made):
                    if isinstance(item, (dict, list)):
                        made[index] = of(item)
                continue
            for name, item in made.items():
                if isinstance(item, (dict, list)):
                    made[name] = of(item)
            if isinstance(made, Answers):
                made.relate(of)
