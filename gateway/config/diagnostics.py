"""Problems of a routes file: where they stand, what was found, what to do, and the nearest name for a misspelling."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.destinations.options import Resolved
from gateway.errors import Problem, RoutesFileError
from gateway.mistakes import Place, nearest
from gateway.text.mask import Mask

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_URL_PASSWORD = re.compile(r"(://[^/?#\s@:]*:)[^@\s]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One table of the routes file, and where it stands."""

    file: str
    folder: Path
    """Relative paths count from here."""
    where: str
    order: tuple[int, ...]
    """Its place: the number of the file, of the top-level table, of the entry in it."""
    table: dict[str, Any]
    shared: Mapping[str, str] = field(default_factory=dict)
    """Which of its keys came from which ``[shared.NAME]``."""
    incomplete: bool = False
    """Something that it uses does not exist, so what is missing may have been meant to come from there."""

    def at(self, path: Place) -> str:
        """Write a place inside this table in TOML words."""
        return self.where + say_path(path, inside=bool(self.where))

    def position(self, path: Place) -> int:
        """Tell which of its keys a place is in; what is missing comes before them."""
        return list(self.table).index(path[0]) if path and path[0] in self.table else -1


def say_path(path: Place, *, inside: bool = True) -> str:
    """Write keys and indexes as ``.columns.site`` or ``[0]``."""
    text = ""
    for piece in path:
        if isinstance(piece, int):
            text += f"[{piece}]"
        else:
            dot = "." if inside or text else ""
            text += dot + (piece if _BARE_KEY.fullmatch(piece) else f'"{piece}"')
    return text


class Problems:
    """Collects every mistake, so that all are told at once."""

    def __init__(self) -> None:
        self._found: list[tuple[tuple[int, ...], Problem]] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, entry: Entry, path: Place, found: str, remedy: str) -> None:
        """Note a mistake at a place inside a table."""
        origin = entry.shared.get(str(path[0])) if path else None
        if origin is not None:
            found += f" (it comes from `shared.{origin}`)"
        remedy = remedy if remedy.endswith((".", "?", "!")) else f"{remedy}."
        found = found.rstrip(".")
        problem = Problem(file=entry.file, where=entry.at(path), found=found, remedy=remedy)
        if all(problem != other for _, other in self._found):
            self._found.append(((*entry.order, entry.position(path)), problem))

    def has(self, entry: Entry, path: Place) -> bool:
        """Tell whether a mistake at this place is known."""
        where = entry.at(path)
        return any(problem.where == where and problem.file == entry.file for _, problem in self._found)

    def raise_any(self, secrets: Iterable[str] = ()) -> None:
        """Raise them all, in file order, without the secrets."""
        if not self._found:
            return
        mask = Mask(secrets)
        ordered = sorted(self._found, key=lambda pair: pair[0])
        raise RoutesFileError([_masked(problem, mask) for _, problem in ordered])


def _masked(problem: Problem, mask: Mask) -> Problem:
    def masked(text: str) -> str:
        return _URL_PASSWORD.sub(r"\1***@", mask.text(text))

    return Problem(file=problem.file, where=problem.where, found=masked(problem.found), remedy=masked(problem.remedy))


def show(value: Any) -> str:
    """Write a value for a person as TOML would, short, and without what came out of a reference."""
    if isinstance(value, Resolved):
        return f"the text behind `{getattr(value, 'origin', 'a reference')}`"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}..."'
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    return str(value)


def suggest(name: str, names: Iterable[str], *, kind: str) -> str:
    """Write the remedy for an unknown name: the nearest one, and all that there are."""
    known = sorted(names)
    if not known:
        return f"There is no {kind} yet: declare it"
    close = nearest(name, known)
    allowed = ", ".join(f"`{candidate}`" for candidate in known)
    return f"Did you mean `{close}`? Known: {allowed}" if close else f"Known: {allowed}"
