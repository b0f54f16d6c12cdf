"""The real command in a terminal of 80 and 120 columns: help that can be read, lists from which keys can be copied."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import __version__
from gateway.store.engine.transaction_time import now
from gateway.store.work.call_counts import day_of
from tests.cli.conftest import LONG_KEY, Run
from tests.support.commands import command_line


def commands() -> list[tuple[str, ...]]:
    """Return every command there is, groups included."""
    found: list[tuple[str, ...]] = [()]
    for name, command in command_line().commands.items():
        found.append((name,))
        found += [(name, inner) for inner in getattr(command, "commands", {})]
    return found


def terminal(*arguments: str | Path, columns: int = 80) -> str:
    """Run the command as a person would and return what the terminal shows."""
    environ = {**os.environ, "COLUMNS": str(columns), "TERM": "dumb", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "gateway", *map(str, arguments)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_has_help_that_fits_a_terminal_and_says_what_each_option_does(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = run(*command, "--help").out
    assert f"Usage: {' '.join(('gateway', *command))} [OPTIONS]" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    here = command_line()
    for name in command:
        here = here.commands[name]
    assert here.help
    for parameter in here.params:
        assert getattr(parameter, "help", None), f"{parameter.name} has no help"


def test_help_of_serve_tells_the_defaults(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = run("serve", "--help").words
    for text in ("GATEWAY_ROUTES", "routes.toml", "127.0.0.1", "8080", "console", "INFO"):
        assert text in words


@pytest.mark.parametrize(
    ("command", "columns", "copied"),
    [
        (("notifications", "list"), 80, ["doubtful", "waiting"]),
        (("notifications", "list"), 120, [f"Site inspection, record {LONG_KEY}"]),
        (("notifications", "show", "waiting"), 80, [LONG_KEY]),
        (("deliveries", "list"), 80, ["dead (in doubt)", "notification doubtful"]),
        (("alarms",), 80, ["outcome not reported: doubtful"]),
    ],
)
def test_lists_fit_a_terminal_and_what_is_copied_from_them_stays_in_one_piece(
    filled: Path, command: tuple[str, ...], columns: int, copied: list[str]
) -> None:
    shown = terminal(*command, "--routes", filled, columns=columns)
    assert max(len(line) for line in shown.splitlines() if not line.startswith("{")) <= columns
    for text in copied:
        assert any(text in line for line in shown.splitlines()), shown


def test_what_goes_into_a_pipe_is_not_squeezed(filled: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-m", "gateway", "notifications", "list", "--routes", str(filled)]
    shown = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    assert f"Site inspection, record {LONG_KEY}" in shown


def test_a_long_reason_of_a_pause_hides_nothing_beside_it(empty: Path) -> None:
    reason = "doForms answered 401 for the submission r1: " + "Look whether the id and password are right. " * 4
    database = sqlite3.connect(empty.with_name("gateway.db"))
    with database:
        for kind, name in (("webservice", "acme$$1$$Published$$2"), ("destination", "folder")):
            database.execute(
                "INSERT INTO pauses VALUES (?, ?, ?, ?, ?, ?)", (kind, name, "x", reason, 1, 2_000_000_000)
            )
        counted = (day_of(now()), "acme$$1$$Published$$2", "fetch", 120, 0, 0, 120)
        database.execute("INSERT INTO call_counts VALUES (?, ?, ?, ?, ?, ?, ?)", counted)
    database.close()
    for command, texts in (
        (("webservices", "list"), ["tried again 1970-01-01", "120 fetch", "120 failed"]),
        (("destinations", "list"), ["folder", "waiting", "dead"]),
    ):
        shown = terminal(*command, "--routes", empty)
        assert max(len(line) for line in shown.splitlines()) <= 80
        assert all(text in shown for text in texts), shown
        assert "…" not in shown


def test_the_version_is_told() -> None:
    assert terminal("--version") == f"doforms-gateway {__version__}\n"
