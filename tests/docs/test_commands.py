"""The commands of the pages: each exists, with the options that are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import command_line
from tests.support.pages import PAGES, mentioned_commands, name_of, shown_commands


def found(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that the first words name, and the words that are left."""
    command: Any = command_line()
    while words and hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_command_of_a_shell_block_can_be_run(page: Path) -> None:
    for words in shown_commands(page):
        command, given = found(words)
        command.make_context("gateway", [word for word in given if word != "--help"])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_command_that_the_prose_mentions_exists(page: Path) -> None:
    for words in mentioned_commands(page):
        command, given = found(words)
        options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
        assert {word for word in given if word.startswith("-") and word != "-"} <= options


def test_the_readme_shows_how_to_serve_and_check() -> None:
    shown = [words[0] for page in PAGES if page.name == "README.md" for words in shown_commands(page)]
    assert {"check", "serve", "simulate", "demo"} <= set(shown)
