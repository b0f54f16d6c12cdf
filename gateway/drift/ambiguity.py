"""Which names the routes ask for although they stand in several places of a form.

A record leaves out what was not answered, so that one alone cannot tell: the paths that all records brought do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.doforms.form_values import EMPTY, TABLE
from gateway.drift.usage import Mapped, Mappings, Paths, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class InSeveralPlaces:
    """A name that templates ask for, and that stands in several places of the form."""

    question: str
    """The name; of a column ``table[].name``."""
    paths: tuple[str, ...]
    asked_by: tuple[str, ...]


def in_several_places(kinds: Mapping[str, str], asked: Mappings) -> tuple[InSeveralPlaces, ...]:
    """Return the names that templates ask for instead of one of the paths where they stand.

    ``kinds`` are those of the questions of a form as far as its records have shown, see `gateway.models.Record`.
    """
    found: dict[tuple[str, tuple[str, ...]], list[Mapped]] = {}
    paths = Paths(kinds)
    for place in asked.places:
        for question, several in _several(place.wanted, kinds, paths):
            found.setdefault((question, tuple(several)), []).append(place)
    return tuple(
        InSeveralPlaces(question=question, paths=several, asked_by=tuple(dict.fromkeys(map(str, places))))
        for (question, several), places in found.items()
    )


def _several(wanted: Wanted, kinds: Mapping[str, str], paths: Paths) -> Iterator[tuple[str, list[str]]]:
    if wanted.column is not None:
        for table in Wanted(wanted.by, wanted.name).find(paths):
            if len(several := _columns(table, wanted.column, kinds)) > 1:
                yield f"{table}[].{wanted.column}", several
    elif wanted.by != "paths" and not _is_path(wanted.name, kinds):
        places = [path for path in wanted.find(paths) if _holds(path, wanted.by, kinds)]
        if len(places) > 1:
            yield wanted.name, places


def _holds(path: str, by: str, kinds: Mapping[str, str]) -> bool:
    """Tell whether an answer is found there, or of ``tables`` a table; one that is empty now if it ever had rows."""
    if f"{path}[]" in kinds:
        return True
    return kinds[path] == TABLE if by == "tables" else kinds[path] != EMPTY


def _columns(table: str, name: str, kinds: Mapping[str, str]) -> list[str]:
    """Return where a column's name stands in the rows; a row that answers one of several shows it by its name alone."""
    rows = f"{table}[]."
    if _is_path(name, kinds, rows):
        return []
    column = Wanted("fields", name)
    found = [path for path in kinds if path.startswith(rows) and column.names(path[len(rows) :])]
    found = [path for path in found if "[]" not in path[len(rows) :] and kinds[path] != EMPTY]
    doubled = any(path.startswith(f"{rows}{name}[") for path in found)
    return [path for path in found if doubled or path != f"{rows}{name}"]


def _is_path(name: str, kinds: Mapping[str, str], rows: str = "") -> bool:
    """Tell whether a name is asked for that is a path already, with a section before the last dot."""
    section, _, last = name.rpartition(".")
    return bool(section and last) and f"{rows}{name}" in kinds
