"""What commands print: tables for a person, JSON for a program, errors on standard error."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.errors import Problem

stdout = Console()
stderr = Console(stderr=True)

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
    typer.echo(json.dumps(as_data(value), indent=2, ensure_ascii=False, default=str))


def as_data(value: Any) -> Any:
    """Turn dataclasses, times and sequences into what JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: as_data(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_data(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [as_data(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print rows under column names, or ``empty`` if there are none."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    count = 0
    for row in rows:
        table.add_row(*(cell(value) for value in row))
        count += 1
    if count:
        stdout.print(table)
    else:
        stdout.print(empty, markup=False)


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Print names and values of one thing, leaving out what is not set."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        if value not in (None, "", (), [], {}):
            table.add_row(name, cell(value))
    stdout.print(table)


def cell(value: Any) -> Text:
    """Return a value as text in its colour."""
    if value is None:
        return Text("")
    if isinstance(value, datetime):
        return Text(value.astimezone().isoformat(sep=" ", timespec="seconds"))
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, Mapping):
        return Text(", ".join(f"{count} {state}" for state, count in value.items()))
    text = str(value)
    return Text(text, style=COLOURS.get(text, ""))


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
