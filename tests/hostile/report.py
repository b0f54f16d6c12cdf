"""What a run shows: a line an attack, then what the books say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.hostile.run import Result, Row

HEAD = ("attack", "good answers", "over 3 s", "slowest", "503", "memory MB: before, most, after", "descriptors")
LEAK = 160 << 20
"""Bytes that the gateways may take more at the end than after warming up: what they keep of what they have learnt."""
_DESCRIPTORS = 24
_MOST_FOUND = 10


def faults_of(result: Result) -> list[str]:
    """Return what is wrong with a run; nothing if it is clean."""
    found = [f"{name}: {text}" for name, texts in result.found.items() for text in texts[:_MOST_FOUND]]
    found += [f"{row.attack}: {row.late} good answers took over 3 s" for row in result.rows if row.late]
    first, last = result.rows[0].after, result.rows[-1].after
    if last.memory - first.memory > LEAK:
        found.append(f"memory grew from {_megabytes(first.memory)} to {_megabytes(last.memory)} MB")
    if last.descriptors - first.descriptors > _DESCRIPTORS:
        found.append(f"descriptors grew from {first.descriptors} to {last.descriptors}")
    return found


def cells(row: Row) -> tuple[str, ...]:
    """Return a line of the table."""
    statuses = [one.answer.status for one in row.good]
    slowest = max((one.answer.seconds for one in row.good), default=0.0)
    memory = " ".join(str(_megabytes(one.memory)) for one in (row.before, row.most, row.after))
    descriptors = f"{row.before.descriptors} {row.most.descriptors} {row.after.descriptors}"
    good = sum(status == 200 for status in statuses)
    return row.attack, str(good), str(row.late), f"{slowest:.2f} s", str(statuses.count(503)), memory, descriptors


def show(console: Console, result: Result, name: str) -> None:
    """Print the table and what is wrong."""
    table = Table(*HEAD)
    for row in result.rows:
        table.add_row(*cells(row), style="red" if row.late else None)
    console.print(table, summary(result, name), highlight=False)
    for text in faults_of(result):
        console.print(f"    [red]{text}[/red]", highlight=False, soft_wrap=True)


def summary(result: Result, name: str) -> str:
    """Return the sum in a sentence."""
    lost = len(result.found["acknowledged is kept once"])
    doubled = len(result.found["nothing happened twice"])
    shuffled = len(result.found["lanes kept their order"])
    return (
        f"{name}, {result.seconds / 60:.0f} minutes: {result.notifications:,} good notifications, "
        f"{result.deliveries:,} deliveries; lost {lost}, doubled {doubled}, out of order {shuffled}, "
        f"good answers over 3 s {sum(row.late for row in result.rows)}."
    )


def write_markdown(file: Path, result: Result, name: str) -> None:
    """Write the table for a page of the docs."""
    lines: list[Sequence[str]] = [HEAD, ["---"] * len(HEAD), *(cells(row) for row in result.rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    file.write_text(f"{summary(result, name)}\n\n{table}\n")


def _megabytes(size: int) -> int:
    return round(size / (1 << 20))
