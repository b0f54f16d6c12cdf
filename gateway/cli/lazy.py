"""Imports a command's module only when the command runs, so that ``--help`` is fast."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

_SPEAKS = "gateway speaks"
ALONE = object()
"""The object of the context where the process runs nothing but this command."""


class LazyCommand(TyperCommand):
    """A command, or a group of them, whose module is imported when it runs or shows its own help."""

    def __init__(self, name: str, where: str, help: str) -> None:
        """``where`` is ``module:name`` of a function or a `typer.Typer`; ``help`` is how its own help begins.

        What a module calls ``EPILOG`` stands at the end of the help of its command.
        """
        super().__init__(name, help=help)
        self._where = where

    def load(self) -> Any:
        """Import and return the command itself."""
        module_name, _, name = self._where.partition(":")
        module = import_module(module_name)
        found, around = getattr(module, name), typer.Typer(add_completion=False)
        if isinstance(found, typer.Typer):
            around.add_typer(found, name=self.name)
        else:
            around.command(self.name, epilog=getattr(module, "EPILOG", None))(found)
        (command,) = get_group(around).commands.values()
        return command

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Let the command itself read its arguments: what runs is the command of the context."""
        if parent is not None and not parent.meta.get(_SPEAKS):
            from gateway.cli.speaking import speaking  # takes as long to import as all that the help needs

            parent.meta[_SPEAKS] = True
            parent.find_root().with_resource(speaking(alone=parent.find_root().obj is ALONE))
        return self.load().make_context(info_name, args, parent, **extra)


def group_with(*commands: LazyCommand) -> type[TyperGroup]:
    """Return the class of a group that has these commands after its own."""

    class Group(TyperGroup):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            for command in commands:
                self.add_command(command)

    return Group
