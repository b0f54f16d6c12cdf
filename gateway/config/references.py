"""References: ``env:NAME`` and ``file:/path`` in place of a value, looked up when the routes file is loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.config.diagnostics import Entry, Problems
from gateway.destinations.options import Resolved

_REFERENCE = re.compile(r"(env|file):(?!//)(\S(?:.*?\S)?)(\?)?", re.DOTALL)
_URL_PASSWORD = re.compile(r"[a-zA-Z][\w+.-]*://[^/\s@:]*:([^@\s]+)@")
STAND_IN = "placeholder"


class Looked(Resolved):
    """The text behind a reference; knows which reference it came from."""

    origin: str
    stand_in: bool
    """True when it was not looked up: the text means nothing."""

    @classmethod
    def from_reference(cls, text: str, origin: str, *, stand_in: bool = False) -> Looked:
        """Make one; the text itself is the value."""
        looked = cls(text)
        looked.origin = origin
        looked.stand_in = stand_in
        return looked


class _Missing(Exception):
    """A reference that leads nowhere; carries what was found and the remedy."""


@dataclass
class References:
    """Looks references up, and remembers every text that came out of one."""

    environ: Mapping[str, str]
    problems: Problems
    look_up: bool = True
    """False: nothing is looked up, stand-ins take the place of the values."""
    secrets: list[str] = field(default_factory=list)
    forgiven: set[str] = field(default_factory=set)
    """Where a reference with a trailing ``?`` was left out, as `Entry.at` writes it."""
    files: list[tuple[str, Path]] = field(default_factory=list)
    """The files that were looked up, each with the place that names it."""
    learn: Callable[[Iterable[str]], None] = lambda secrets: None
    """Told each text as it is looked up."""

    def resolve(self, entry: Entry) -> dict[str, Any]:
        """Return the entry's table with all references replaced; forgiven ones that lead nowhere are left out."""
        return self._table(entry, (), entry.table)

    def _value(self, entry: Entry, path: tuple[str | int, ...], value: Any) -> Any:
        if isinstance(value, dict):
            return self._table(entry, path, value)
        if isinstance(value, list):
            items = (self._value(entry, (*path, index), item) for index, item in enumerate(value))
            return [item for item in items if item is not None]
        match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        return value if match is None else self._reference(entry, path, match)

    def _table(self, entry: Entry, path: tuple[str | int, ...], table: Mapping[str, Any]) -> dict[str, Any]:
        items = ((key, self._value(entry, (*path, key), item)) for key, item in table.items())
        return {key: item for key, item in items if item is not None}

    def _reference(self, entry: Entry, path: tuple[str | int, ...], match: re.Match[str]) -> Looked | None:
        kind, target, forgiving, origin = match[1], match[2], bool(match[3]), match[0]
        if not self.look_up:
            return Looked.from_reference(STAND_IN, origin, stand_in=True)
        try:
            text = self._from_environment(target) if kind == "env" else _from_file(entry.folder, target)
        except _Missing as missing:
            found, remedy = missing.args
            if forgiving:
                self.forgiven.add(entry.at(path))
                return None
            self.problems.add(
                entry, path, f"`{origin}`: {found}", f"{remedy}, or write `{origin}?` if it may be missing"
            )
            return Looked.from_reference(STAND_IN, origin, stand_in=True)
        if kind == "file":
            self.files.append((entry.at(path), entry.folder / target))
        parts = list(_parts_to_mask(text))
        self.secrets.extend(parts)
        self.learn(parts)
        return Looked.from_reference(text, origin)

    def _from_environment(self, name: str) -> str:
        text = self.environ.get(name)
        if text is None:
            raise _Missing(f"the environment variable {name} is not set", f"Set {name} for this process")
        text = _without_newline(text)
        if not text:
            raise _Missing(f"the environment variable {name} is empty", f"Give {name} a value")
        return text


def _from_file(folder: Path, target: str) -> str:
    path = folder / target
    try:
        text = _without_newline(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _Missing(f"there is no file {path}", f"Write the value into {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise _Missing(f"{path} cannot be read ({reason})", "Make it a text file that this process may read") from None
    if not text:
        raise _Missing(f"the file {path} is empty", f"Write the value into {path}")
    return text


def _without_newline(text: str) -> str:
    """Take one newline off the end: editors and ``echo`` put it there."""
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _parts_to_mask(text: str) -> Iterator[str]:
    yield text
    # A driver that quotes a URL in its error may quote the password alone.
    match = _URL_PASSWORD.match(text)
    if match is not None:
        yield match[1]


def has_stand_in(value: Any) -> bool:
    """Tell whether anything inside was not looked up."""
    if isinstance(value, Mapping):
        return any(has_stand_in(item) for item in value.values())
    if isinstance(value, list):
        return any(has_stand_in(item) for item in value)
    return isinstance(value, Looked) and value.stand_in


def plain(value: Any) -> Any:
    """Return the value with the texts behind references as ordinary texts."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value
