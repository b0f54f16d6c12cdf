"""Compares one record with the routes: which questions they ask for that it does not have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gateway.doforms.form_values import EMPTY
from gateway.drift.counters import counted_by
from gateway.drift.usage import Mapped, Mappings, Paths, Wanted
from gateway.mistakes import nearest

ENOUGH = 10
"""Fewer records say nothing of a question that none of them has: it may not have been answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotInRecord:
    """A question that templates ask for, and that no record has: not answered, or not in the form."""

    question: str
    asked_by: tuple[str, ...]
    meant: str | None
    """A question that is there, with nearly that name."""


def not_asked_for(kinds: Mapping[str, str], asked: Mappings) -> tuple[str, ...]:
    """Return the paths of the questions that no template asks for, if deliveries pick questions one by one.

    ``kinds`` are those of a record, see `gateway.models.Record`.
    """
    takes = asked.takes(Paths(kinds))
    left = [path for path, kind in kinds.items() if not (path.endswith("[]") or kind == EMPTY or takes(path, kind))]
    return tuple(path for path in left if counted_by(path)[:-2] not in left)  # of a table not its columns too


def not_in_record(kinds: Mapping[str, str], asked: Mappings) -> tuple[NotInRecord, ...]:
    """Return the questions that templates ask for in vain; columns only of tables that have rows.

    ``kinds`` are those of a record, or of all records of a form that came.
    """
    found: dict[str, list[Mapped]] = {}
    paths = Paths(kinds)
    for place in asked.places:
        for path in _missed(place.wanted, paths):
            found.setdefault(path, []).append(place)
    return tuple(
        NotInRecord(question=path, asked_by=tuple(map(str, places)), meant=meant(path, kinds))
        for path, places in found.items()
    )


def meant(path: str, paths: Iterable[str]) -> str | None:
    """Return that of a form's paths that was probably meant: never rows as a whole, for a column one of its table."""
    rows = counted_by(path)
    rows += "." if rows else ""
    near = nearest(path[len(rows) :], [one[len(rows) :] for one in paths if one.startswith(rows) and one[-2:] != "[]"])
    return f"{rows}{near}" if near else None


def _missed(wanted: Wanted, paths: Paths) -> list[str]:
    if wanted.find(paths):
        return []
    if wanted.column is None:
        return [wanted.name]
    tables = [path for path in replace(wanted, column=None).find(paths) if f"{path}[]" in paths.known]
    return [f"{path}[].{wanted.column}" for path in tables[:1]]
