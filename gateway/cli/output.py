"""What commands print: tables for a person, JSON for a program, errors on standard error."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeGuard

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.errors import Problem
from gateway.text.visible import visible, visible_json

_PIPED_WIDTH = 160
"""Columns where the output goes to a file or a program and nobody says how many."""


class VisibleConsole(Console):
    """A console whose texts are visible (`gateway.text.visible`): what they tell of comes from outside."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as `Console` does; tables take their texts from `cell`."""
        super().print(*(_shown(each) for each in objects), **options)


def _shown(each: Any) -> Any:
    if isinstance(each, str):
        return visible(each, lines=True)
    if isinstance(each, Text) and (shown := visible(each.plain, lines=True)) != each.plain:
        return Text(shown, style=each.style)
    return each


stdout = VisibleConsole(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH)
stderr = VisibleConsole(stderr=True)

COLOURS = {
    "completed": "green",
    "delivered": "green",
    "failed": "red",
    "dead": "red",
    "dropped": "red",
    "pending": "yellow",
    "open": "yellow",
    "due": "yellow",
}
"""Colours of the words that a person looks for first."""


def print_json(value: Any) -> None:
    """Print one JSON value: dataclasses as objects, times in ISO 8601."""
    typer.echo(visible_json(json.dumps(as_data(value), indent=2, ensure_ascii=False, default=str)))


def say(text: str) -> None:
    """Print a line, or several."""
    typer.echo(visible(text, lines=True))


def as_data(value: Any) -> Any:
    """Turn dataclasses, times and sequences into what JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: as_data(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_data(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [as_data(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str, to: Console = stdout) -> None:
    """Print rows under column names, or ``empty`` if there are none.

    Only the last column is broken into lines, so that keys and times can be copied; a list in it is one line each.
    """
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False)
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], overflow="fold")
    count = 0
    for row in rows:
        table.add_row(*(cell(value) for value in row))
        count += 1
    if count:
        to.print(table)
    else:
        to.print(empty, markup=False)


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Print names and values of one thing, leaving out what is not set."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        if value not in (None, "", (), [], {}):
            table.add_row(name, value.astimezone().isoformat(" ", "seconds") if _is_time(value) else cell(value))
    stdout.print(table)


def _is_time(value: Any) -> TypeGuard[datetime]:
    return isinstance(value, datetime)


def cell(value: Any) -> Text:
    """Return a value as text in its colour; a list as lines, those after the first dim."""
    if value is None:
        return Text("")
    if isinstance(value, list):
        first, *rest = [cell(item) for item in value if item not in (None, "")]
        return Text("\n").join([first, *(Text.assemble(line, style="dim") for line in rest)])
    if isinstance(value, datetime):
        return Text(local(value))
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    text = visible(str(value))
    return Text(text, style=COLOURS.get(text.partition(" (")[0], ""))


def local(moment: datetime) -> str:
    """Return a time in this machine's zone, to the second."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def print_text(text: str, *, title: str) -> None:
    """Print a text from outside as it is, long lines unbroken, control characters written out."""
    stdout.print(f"\n{title}", style="bold", markup=False)
    stdout.print(text, markup=False, highlight=False, soft_wrap=True)


def print_raw(text: str) -> None:
    """Print JSON from outside and nothing else: it says the same, and what a terminal would obey is escaped."""
    typer.echo(visible_json(text.removeprefix("\ufeff")))


def show_problems(problems: Sequence[Problem]) -> None:
    """Print the problems of a routes file on standard error."""
    for problem in problems:
        line = Text.assemble((problem.file, "dim"), ": ", (problem.where, "bold"), f": {problem.found}.")
        stderr.print(line, soft_wrap=True)
        stderr.print(Text(f"    {problem.remedy}", style="cyan"), soft_wrap=True)
    count = len(problems)
    stderr.print(f"[red]{count} {'problem' if count == 1 else 'problems'}[/]; nothing was changed.", highlight=False)


def fail(text: str, *, status: int = 1) -> typer.Exit:
    """Print an error and return the exit to raise."""
    stderr.print("[red]Error:[/] ", end="")
    stderr.print(text, markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(status)
