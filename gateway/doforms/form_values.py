"""Collects the values of a form, each under a path of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.doforms.record_bounds import check_path
from gateway.record_answers import RecordAnswers, unfolded

NAMELESS = "?"
"""The name of a value to which doForms gives none."""
TABLE, ROW, EMPTY, BLOB = "table", "row", "empty", "blob"
"""The kinds of a table, of its rows as a whole, and of a table or section with nothing in it."""


@dataclass(slots=True)
class Collected:
    """The answers of a record, or of a row."""

    paths: dict[str, Any] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)
    """The paths that are tables."""
    kinds: dict[str, str] = field(default_factory=dict)
    """Path -> what doForms calls the kind of value; of what stands in rows under ``table[].question``."""
    _named: dict[str, str | list[str]] = field(default_factory=dict)
    """Name -> the path where it stands, or the paths."""
    _doubled: dict[str, int] = field(default_factory=dict)
    """Path -> how often it was met again."""

    def add(self, prefix: str, name: str, value: Any, kind: str) -> str:
        """Take a value; returns its path. Raises TooLarge for one too many, or a path that is too long."""
        path = f"{prefix}{name}"
        check_path(path, len(self.paths))
        while path in self.paths:  # the same name twice in one section: neither is lost
            number = self._doubled[f"{prefix}{name}"] = self._doubled.get(f"{prefix}{name}", 1) + 1
            path = f"{prefix}{name}[{number}]"
        self.paths[path] = value
        self.kinds[path] = kind
        there = self._named.setdefault(name, path)
        if isinstance(there, list):
            there.append(path)
        elif there != path:
            self._named[name] = [there, path]
        return path

    def add_table(self, prefix: str, name: str, rows: Sequence[Collected]) -> None:
        """Take the rows of a table."""
        path = self.add(prefix, name, [row.by_name() for row in rows], TABLE)
        self.tables.add(path)
        self.kinds[f"{path}[]"] = ROW
        for row in rows:
            shown = row._shown()
            for inner, kind in row.kinds.items():
                head, bracket, tail = inner.partition("[]")
                inside = f"{path}[].{shown.get(head, head)}{bracket}{tail}"
                if inside not in self.kinds:
                    check_path(inside, len(self.kinds))
                    self.kinds[inside] = kind

    def add_empty(self, prefix: str, name: str) -> None:
        """Note a section or table without anything in it: it is there, but has no value."""
        path = f"{prefix}{name}"
        check_path(path, len(self.kinds))
        self.kinds.setdefault(path, EMPTY)

    def by_name(self, among: Collection[str] | None = None) -> RecordAnswers:
        """Return the values, all or those of some paths: by name or, where that stands in several places, by path."""
        named = self._named
        if among is not None:
            paths = {name: [path for path in _listed(there) if path in among] for name, there in named.items()}
            named = {name: there if len(there) > 1 else there[0] for name, there in paths.items() if there}
        single = {name: self.paths[path] for name, path in named.items() if isinstance(path, str)}
        several = {name: paths for name, paths in named.items() if isinstance(paths, list)}
        by_path = self.paths if among is None else {path: self.paths[path] for path in among}
        if not several and by_path.keys() == single.keys():  # as in most rows: not kept twice
            return RecordAnswers(single, several)
        return RecordAnswers(unfolded(single, several, self.paths) if several else single, several, by_path)

    def _shown(self) -> dict[str, str]:
        """Return path -> the name under which a row shows it."""
        return {path: name for name, path in self._named.items() if isinstance(path, str)}


def _listed(there: str | list[str]) -> list[str]:
    return [there] if isinstance(there, str) else there
