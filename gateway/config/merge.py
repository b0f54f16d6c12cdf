"""Merging: one whole of several files, and ``[shared.NAME]`` tables put under what uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.config.diagnostics import Entry, Problems, say_path, show, suggest
from gateway.config.lint import home_of, misnamed_top
from gateway.config.read import Source

SINGLE = ("gateway", "doforms", "webhook", "reconcile")
"""Tables of which there is one."""
OPTIONAL = frozenset({"reconcile"})
"""Those of them that do something only if they are there."""
NAMED = ("accounts", "webservices", "destinations", "shared")
"""Tables of named tables."""
LATER = {"alarms": "sending of alarms", "tests": "tests in the routes file"}
"""Tables that a later version understands."""
TOP = ("include", *SINGLE, *NAMED, "routes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """All files together."""

    single: dict[str, Entry] = field(default_factory=dict)
    named: dict[str, dict[str, Entry]] = field(default_factory=dict)
    routes: list[Entry] = field(default_factory=list)


def combine(sources: Sequence[Source], problems: Problems) -> Whole:
    """Put the files together; a name defined twice is a mistake that names both files."""
    whole = Whole(named={kind: {} for kind in NAMED})
    for source in sources:
        for key, value in source.tree.items():
            if key in SINGLE:
                _add_single(whole, source, key, value, problems)
            elif key in NAMED:
                _add_named(whole, source, key, value, problems)
            elif key == "routes":
                _add_routes(whole, source, value, problems)
            elif key in LATER:
                found = f"this version has no {LATER[key]} yet"
                problems.add(source.entry(key, {}), (), found, f"Remove the table `{key}`")
            elif key != "include":
                _refuse_top(source, key, value, problems)
    for kind in SINGLE:
        if kind not in OPTIONAL:
            whole.single.setdefault(kind, sources[0].entry(kind, {}))
    return whole


def _refuse_top(source: Source, key: str, value: Any, problems: Problems) -> None:
    entry = source.entry(say_path((key,), inside=False), {})
    home = home_of(key)
    trap = misnamed_top(key)
    if trap is not None:
        problems.add(entry, (), *trap)
    elif home is not None and not isinstance(value, dict):
        problems.add(entry, (), f"`{key}` stands at the top of the file", f"Move it below {home}")
    else:
        kind = "table" if isinstance(value, (dict, list)) else "key"
        problems.add(entry, (), f"`{key}` is no {kind} of a routes file", suggest(key, TOP, kind="table"))


def _add_single(whole: Whole, source: Source, key: str, value: Any, problems: Problems) -> None:
    entry = source.entry(key, value if isinstance(value, dict) else {})
    other = whole.single.get(key)
    if not isinstance(value, dict):
        problems.add(entry, (), f"{show(value)} is not a table", f"Write it as a table: [{key}]")
    elif other is not None:
        problems.add(entry, (), f"[{key}] is defined twice: in {other.file} and in {source.file}", "Keep one")
    else:
        whole.single[key] = entry


def _add_named(whole: Whole, source: Source, kind: str, value: Any, problems: Problems) -> None:
    if not isinstance(value, dict):
        problems.add(source.entry(kind, {}), (), f"{show(value)} is not a table", f"Write each as [{kind}.NAME]")
        return
    for second, (name, table) in enumerate(value.items()):
        entry = source.entry(kind + say_path((name,)), table if isinstance(table, dict) else {}, second=second)
        other = whole.named[kind].get(name)
        if not isinstance(table, dict):
            problems.add(entry, (), f"{show(table)} is not a table", f"Name each: [{kind}.NAME], with its keys below")
        elif other is not None:
            found = f"`{name}` is defined twice: in {other.file} and in {source.file}"
            problems.add(entry, (), found, "Rename one of the two")
        else:
            whole.named[kind][name] = entry


def _add_routes(whole: Whole, source: Source, value: Any, problems: Problems) -> None:
    if not isinstance(value, list):
        found = "`routes` is one table" if isinstance(value, dict) else f"{show(value)} is not a list of tables"
        problems.add(source.entry("routes", {}), (), found, "Write each route with two brackets: [[routes]]")
        return
    used: set[str] = set()
    for second, table in enumerate(value):
        if not isinstance(table, dict):
            entry = source.entry(f"routes[{second}]", {}, second=second)
            problems.add(entry, (), f"{show(table)} is not a table", "Write each route as [[routes]]")
            continue
        name = table.get("name")
        label = name if isinstance(name, str) and name and name not in used else second
        used.add(str(name))
        whole.routes.append(source.entry(f"routes[{label}]", table, second=second))


def with_shared(entry: Entry, shared: Mapping[str, Entry], problems: Problems) -> Entry:
    """Put the tables that the entry's ``use`` names under its own keys."""
    use = entry.table.get("use", [])
    names = [use] if isinstance(use, str) else use
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return entry  # its own validation tells
    below: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for index, name in enumerate(names):
        if name not in shared:
            place = ("use",) if isinstance(use, str) else ("use", index)
            problems.add(entry, place, f"there is no [shared.{name}]", suggest(name, shared, kind="shared table"))
            continue
        table = {key: value for key, value in shared[name].table.items() if key != "use"}
        below = merged(below, table)
        origins.update(dict.fromkeys(table, name))
    origins = {key: name for key, name in origins.items() if key not in entry.table}
    incomplete = not shared.keys() >= set(names)
    return replace(entry, table=merged(below, entry.table), shared=origins, incomplete=incomplete)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two tables: the keys above win, inner tables merge, lists replace."""
    result = dict(below)
    for key, value in above.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def check_shared(shared: Mapping[str, Entry], problems: Problems) -> None:
    """Refuse a shared table that uses another."""
    for entry in shared.values():
        if "use" in entry.table:
            problems.add(
                entry, ("use",), "a shared table cannot use another", "Name both where they are used, as a list"
            )
