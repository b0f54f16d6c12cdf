"""The command line with every command imported, for tests that look at all of them."""

from __future__ import annotations

from typing import Any

from typer.main import get_command

from gateway.cli import COMMANDS, app


def command_line() -> Any:
    """Return ``gateway`` as Typer made it, with its commands and groups in place of those to be imported later."""
    made: Any = get_command(app)
    made.commands = {command.name: command.load() for command in COMMANDS}
    return made
