"""Reading: the routes file and the files it includes, as TOML."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config.diagnostics import Entry, Problems, show
from gateway.errors import Problem, RoutesFileError

_REMEDIES = {
    r"illegal character '\n'": 'The text is not closed: end it with a quote; one of several lines takes """.',
    'expected "\'"': "The text is not closed: end it with a quote; one of several lines takes '''.",
    "overwrite": "The key stands twice in one table: remove or rename one.",
    "declare": "The table stands twice: put its keys together under one heading, or rename one.",
    "namespace": "The table stands twice: put its keys together under one heading, or rename one.",
    "invalid value": 'Put texts in quotes: key = "text".',
    "'=' after a key": 'Write key = "value"; a key with other characters than letters, digits, - and _ takes quotes.',
    "declaration": "Close the heading; a name with other characters than A-Z, a-z, 0-9, - and _ takes quotes.",
    "inline table": "A table in braces stands on one line and has no comma behind its last key.",
    "hex value": "A backslash in a text is special: write the text in single quotes.",
    "unescaped": "A backslash in a text is special: write the text in single quotes.",
}
"""The remedy of what the reader of TOML says."""

_POSITION = re.compile(r"\s*\((at line (\d+), column (\d+)|at end of document)\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file that was read."""

    file: str
    """As the user named it."""
    folder: Path
    number: int
    """0 for the main file, then the included ones in sorted order."""
    tree: dict[str, Any]

    def entry(self, where: str, table: dict[str, Any], *, second: int = 0) -> Entry:
        """Make the entry of a table of this file; ``where`` begins with its top-level key."""
        top = re.split(r"[.\[]", where, maxsplit=1)[0]
        first = list(self.tree).index(top) if top in self.tree else len(self.tree)
        order = (self.number, first, second)
        return Entry(file=self.file, folder=self.folder, where=where, order=order, table=table)

    @property
    def whole(self) -> Entry:
        """The entry of the file's top level."""
        return Entry(file=self.file, folder=self.folder, where="", order=(self.number, -1, 0), table=self.tree)


def read(file: Path, problems: Problems) -> list[Source]:
    """Read the main file and what it includes.

    Raises:
        RoutesFileError: a file is missing or is no TOML.
    """
    main = Source(file=str(file), folder=file.absolute().parent, number=0, tree=_parsed(file))
    sources = [main]
    broken: list[Problem] = []
    for path in _included(main, problems):
        try:
            tree = _parsed(path)
        except RoutesFileError as error:
            broken.extend(error.problems)
            continue
        source = Source(file=str(path), folder=path.absolute().parent, number=len(sources), tree=tree)
        if "include" in tree:
            problems.add(
                source.whole, ("include",), "an included file includes others", f"Move `include` to {main.file}"
            )
        sources.append(source)
    if broken:
        raise RoutesFileError(broken)
    return sources


def _included(main: Source, problems: Problems) -> list[Path]:
    """Return the included files, sorted, each once, named as the user named the main file."""
    patterns = main.tree.get("include", [])
    patterns = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(patterns, list):
        problems.add(main.whole, ("include",), f"{show(patterns)} is not a list", 'Write include = ["routes.d/*.toml"]')
        return []
    own, shown_folder, found = Path(main.file).absolute(), Path(main.file).parent, set()
    for index, pattern in enumerate(patterns):
        place = ("include", index)
        if not isinstance(pattern, str) or not pattern:
            problems.add(main.whole, place, f"{show(pattern)} is no path", 'Write one such as "routes.d/*.toml"')
            continue
        try:
            paths = _matching(shown_folder, pattern)
        except ValueError as error:  # such as ** within a name
            problems.add(
                main.whole, place, f"{show(pattern)} is no pattern: {error}", "Write one such as routes.d/*.toml"
            )
            continue
        if not paths and not re.search(r"[*?\[]", pattern):
            problems.add(main.whole, place, f"there is no file {show(pattern)}", "Correct the path, or remove it")
        found |= {path for path in paths if path.absolute() != own}
    return sorted(found)


def _matching(folder: Path, pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_absolute():
        folder, pattern = Path(path.anchor), str(path.relative_to(path.anchor))
    return [match for match in folder.glob(pattern) if match.is_file()]


def _parsed(file: Path) -> dict[str, Any]:
    try:
        text = file.read_bytes().decode("utf-8-sig")
        return tomllib.loads(text)
    except FileNotFoundError:
        problem = _whole(
            file, "there is no such file", "Write it, or name another one with --routes or GATEWAY_ROUTES."
        )
    except OSError as error:
        problem = _whole(file, f"it cannot be read ({error.strerror})", "Make it a file that this process may read.")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = _whole(file, "it is not UTF-8 text", "Save it as UTF-8.", where=f"line {line}")
    except tomllib.TOMLDecodeError as error:
        problem = _syntax(file, str(error), text)
    raise RoutesFileError([problem])


def _whole(file: Path, found: str, remedy: str, *, where: str = "file") -> Problem:
    return Problem(file=str(file), where=where, found=found, remedy=remedy)


def _syntax(file: Path, message: str, text: str) -> Problem:
    """Name line and column; the commonest mistakes get a remedy of their own."""
    position = _POSITION.search(message)
    found = _POSITION.sub("", message)
    found = f"{found[:1].lower()}{found[1:]}"
    line, column = len(text.splitlines()), 1
    if position is not None and position[2]:
        line, column = int(position[2]), int(position[3])
    written = text.splitlines()[line - 1].strip() if text else ""
    remedy = "Mend the TOML there: texts stand in quotes, and inline tables on one line."
    if written.startswith("[[") and ("overwrite" in found or "mutate" in found):
        found = f"{written} stands below a table of the same name, or below tables that belong into it"
        remedy = "Write [[routes]] first, then each [[routes.deliver]] of it, and always with two brackets."
    elif "invalid value" in found and any(quote in written for quote in "“”„‘’"):
        remedy = 'The quotes are curly: write straight ones ("text").'
    else:
        remedy = next((way for part, way in _REMEDIES.items() if part in found), remedy)
    return _whole(file, found, remedy, where=f"line {line}, column {column}")
