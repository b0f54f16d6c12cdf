"""The house rules: what reviewers would otherwise have to look for."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gateway import api, testing
from gateway.cli.lazy import LazyCommand
from tests.support.commands import command_line, imported_later
from tests.support.pages import ROOT
from tests.support.sentences import looks

LONGEST = 400
MOST_MODULES = 20
"""Of a folder of its own; the commands are many, and alike."""
MOST_PARAMETERS = 6
"""Of a constructor, beside `self`."""
LONGEST_FUNCTION = 60
"""Lines, without its decorators."""
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
RUNS = {
    "serve",
    "reload",
    "demo",
    "simulate",
    "destinations pause",
    "destinations resume",
    "webservices resume",
    "alarms clear",
}
"""Commands that run or order something instead of printing data."""
SEARCHES = {
    ("gateway/cli/notification_orders.py", "_is_wanted"),
    ("gateway/store/operator/quarantine.py", "_conditions"),
}
"""Functions that search reasons for what a person typed."""
NOT_OURS = re.compile(r"[.](git|venv.*|.*_cache|hypothesis)|__pycache__|.*[.]egg-info|build|dist")
FOREIGN = re.compile(
    r"(?<![\w.-])[/]work(?![\w-])|[.][.]/shared\b|\bpypi[.](org|python)|python[h]osted|registry[.]npm|proxy[.]golang",
    re.IGNORECASE,
)
"""Places of a machine where the project was made, and hosts of package registries."""


def files(*folders: Path) -> Iterator[Path]:
    """Yield the project's text files below the folders."""
    for folder in folders:
        for here, below, names in os.walk(folder):
            below[:] = [name for name in below if not NOT_OURS.fullmatch(name)]
            for path in (Path(here) / name for name in names):
                if b"\0" not in path.read_bytes()[:1024]:
                    yield path


def commands(command: Any, *names: str) -> Iterator[Any]:
    """Yield each command under its full name."""
    for name, inner in getattr(command, "commands", {}).items():
        yield pytest.param(inner, id=" ".join([*names, name]))
        yield from commands(inner, *names, name)


def used_names(module: ModuleType, tree: ast.Module) -> Iterator[str]:
    """Yield what a file takes from ``gateway.api`` or ``gateway.testing``."""
    short = module.__name__.rpartition(".")[2]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == module.__name__:
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == short:
            yield node.attr


EVERY = list(commands(command_line()))
LEAVES = [one for one in EVERY if not hasattr(one.values[0], "commands")]


def test_no_file_is_too_long() -> None:
    lengths = {path: len(path.read_bytes().splitlines()) for path in files(ROOT / "gateway", ROOT / "plugins")}
    assert len(lengths) > 100
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_no_folder_holds_too_many_modules() -> None:
    folders = {path.parent for path in (ROOT / "gateway").rglob("*.py") if "versions" not in path.parts}
    counts = {str(folder.relative_to(ROOT)): len({*folder.glob("*.py")}) - 1 for folder in folders}
    assert {name: count for name, count in counts.items() if count > MOST_MODULES} == {
        "gateway/cli": counts["gateway/cli"]
    }


def test_no_function_is_too_long() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in files(ROOT / "gateway", ROOT / "plugins")
        if path.suffix == ".py" and "tests" not in path.parts and "versions" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_no_constructor_takes_too_much() -> None:
    counts = {
        f"{path.relative_to(ROOT)}:{owner.name}": len(node.args.args) - 1 + len(node.args.kwonlyargs)
        for path in files(ROOT / "gateway", ROOT / "plugins")
        if path.suffix == ".py" and "tests" not in path.parts
        for owner in ast.walk(ast.parse(path.read_text()))
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    }
    assert len(counts) > 80
    assert {name: count for name, count in counts.items() if count > MOST_PARAMETERS} == {}


@pytest.mark.parametrize("module", [api, testing], ids=lambda module: module.__name__)
def test_an_api_says_what_it_offers(module: ModuleType) -> None:
    assert module.__all__ == sorted(module.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("module", [api, testing], ids=lambda module: module.__name__)
def test_an_api_offers_what_plugins_use(module: ModuleType) -> None:
    sources = [path.read_text(encoding="utf-8") for path in files(*PLUGINS) if path.suffix == ".py"]
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    sources += re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    used = {name for source in sources for name in used_names(module, ast.parse(source))}
    assert used
    assert used - set(module.__all__) == set()


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_a_plugin_has_a_readme_and_tests(plugin: Path) -> None:
    assert (plugin / "README.md").read_text(encoding="utf-8").startswith(f"# doforms-gateway-{plugin.name}\n")
    assert list(plugin.glob("tests/test_*.py"))


@pytest.mark.parametrize("command", EVERY)
def test_a_command_has_a_help_text(command: Any) -> None:
    assert (command.help or "").strip().endswith((".", "5s"))


@pytest.mark.parametrize("command", list(imported_later()), ids=lambda command: command.name)
def test_the_list_of_commands_says_what_the_help_of_each_begins_with(command: LazyCommand) -> None:
    assert command.help == " ".join(command.load().help.split("\n\n")[0].split())


@pytest.mark.parametrize("command", LEAVES)
def test_an_option_has_a_help_text(command: Any) -> None:
    assert [one.name for one in command.params if not one.help] == []


@pytest.mark.parametrize("command", [one for one in LEAVES if one.id not in RUNS])
def test_a_command_that_prints_data_prints_json_too(command: Any) -> None:
    assert "--json" in {option for one in command.params for option in one.opts}


def test_alarms_are_raised_and_cleared_through_the_book_and_by_the_store_alone() -> None:
    outside = [
        path.relative_to(ROOT)
        for path in files(ROOT / "gateway")
        if path.suffix == ".py" and not path.is_relative_to(ROOT / "gateway" / "store")
    ]
    raises = [
        str(path)
        for path in outside
        if re.search(r"(?<![.\w])alarms\.(raise|clear)_alarm\(", (ROOT / path).read_text())
    ]
    assert raises == ["gateway/alarms/book.py"]


def test_no_sentence_decides_anything() -> None:
    found = {
        (str(path.relative_to(ROOT)), function)
        for path in (ROOT / "gateway").rglob("*.py")
        for function, _ in looks(ast.parse(path.read_text()))
    }
    assert found == SEARCHES, "a reason is for people; what is decided by stands in its code"


@pytest.mark.parametrize(
    "line",
    [
        "row.reason.startswith('dropped by ')",
        "column.mode_reason.not_like('dropped by %')",
        "deliveries.c.receipt.like(LACKING)",
        "'missing: ' in (one.reason or '')",
        "why.partition('missing: ')[0]",
        "reason == 'given up'",
        "one.reason.lower().endswith('given up')",
    ],
)
def test_look_into_a_sentence_is_found(line: str) -> None:
    assert list(looks(ast.parse(f"def decide():\n    return {line}"))) == [("decide", 2)]


def test_nothing_speaks_of_the_place_where_it_was_made() -> None:
    found = {
        str(path.relative_to(ROOT)): match[0]
        for path in files(ROOT)
        if (match := FOREIGN.search(path.read_text(encoding="utf-8", errors="replace")))
    }
    assert found == {}


def test_the_change_log_speaks_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    first = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
    assert first == version


def test_make_help_explains_every_word() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [words] = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    explained = re.findall(r'^\t@echo "make (\w+) +\S', makefile, re.MULTILINE)
    defined = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    assert sorted(explained) == sorted(defined - {"help"})
    assert set(words.split()) == defined
