"""The command line with every command imported, for tests that look at all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from gateway.cli import app
from gateway.cli.lazy import LazyCommand


def command_line() -> Any:
    """Return ``gateway`` as Typer made it, with its commands and groups in place of those to be imported later."""
    return _imported(get_command(app))


def imported_later() -> Iterator[LazyCommand]:
    """Yield each command that is imported when it is called for."""
    for command in get_command(app).commands.values():  # type: ignore[attr-defined]
        yield command
        yield from (one for one in getattr(command.load(), "commands", {}).values() if isinstance(one, LazyCommand))


def _imported(command: Any) -> Any:
    if isinstance(command, LazyCommand):
        command = command.load()
    if hasattr(command, "commands"):
        command.commands = {name: _imported(one) for name, one in command.commands.items()}
    return command
