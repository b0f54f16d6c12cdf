"""What a run shows: a line a seed, and in the end how often each fault was done and how often each invariant held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.crash.plan import Kind
from tests.crash.seed import Verdict
from tests.crash.stores import Backend

FAULTS = ("fault", "times")
INVARIANTS = ("invariant", "held", "broken in seeds")
_MOST = 5
"""Findings that are printed of each invariant."""


def show_seed(console: Console, verdict: Verdict) -> None:
    """Print how a seed went."""
    colour, word = ("green", "clean") if verdict.clean else ("red", "broken")
    faults = ", ".join(f"{fault.kind} {fault.at:.1f}s" for fault in verdict.faults)
    console.print(
        f"seed {verdict.seed:>4} [{colour}]{word}[/{colour}] in {verdict.seconds:4.1f} s: "
        f"{verdict.notifications} notifications, {verdict.deliveries} deliveries; {faults}",
        highlight=False,
        soft_wrap=True,
    )
    for name, found in verdict.found.items():
        for text in found[:_MOST]:
            console.print(f"    [red]{name}[/red]: {text}", highlight=False, soft_wrap=True)
        if len(found) > _MOST:
            console.print(f"    [red]{name}[/red]: and {len(found) - _MOST} more")
    if not verdict.clean:
        console.print(f"    logs and effects: {verdict.folder}", highlight=False, soft_wrap=True)


def show_sum(console: Console, verdicts: Sequence[Verdict], backend: Backend, *, processes: int) -> None:
    """Print the faults that were done and the invariants that held, over all seeds."""
    faults, invariants = Table(*FAULTS), Table(*INVARIANTS)
    for row in _faults(verdicts, backend):
        faults.add_row(*row)
    for row in _invariants(verdicts):
        invariants.add_row(*row, style="red" if row[2] else None)
    console.print(f"\n{_headline(verdicts, backend, processes)}", faults, invariants, _sum(verdicts), highlight=False)


def write_markdown(file: Path, verdicts: Sequence[Verdict], backend: Backend, *, processes: int) -> None:
    """Write the same as tables of a Markdown page."""
    tables = [(FAULTS, _faults(verdicts, backend)), (INVARIANTS, _invariants(verdicts))]
    parts = [f"### {_headline(verdicts, backend, processes)}", _sum(verdicts)]
    for head, rows in tables:
        lines = [head, ["---"] * len(head), *rows]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    file.write_text("\n\n".join(parts) + "\n")


def _faults(verdicts: Sequence[Verdict], backend: Backend) -> Sequence[tuple[str, str]]:
    done = Counter(fault.kind for verdict in verdicts for fault in verdict.faults)
    return [(kind.value, str(done[kind]) if kind in backend.kinds else "not staged here") for kind in Kind]


def _invariants(verdicts: Sequence[Verdict]) -> Sequence[tuple[str, str, str]]:
    rows = []
    for name in verdicts[0].found:
        broken = [verdict.seed for verdict in verdicts if verdict.found[name]]
        rows.append((name, f"{len(verdicts) - len(broken)}/{len(verdicts)}", " ".join(map(str, broken))))
    return rows


def _headline(verdicts: Sequence[Verdict], backend: Backend, processes: int) -> str:
    shared = "one process" if processes == 1 else f"{processes} processes"
    return f"{backend.name}, {shared}, {len(verdicts)} seeds"


def _sum(verdicts: Sequence[Verdict]) -> str:
    faults = sum(len(verdict.faults) for verdict in verdicts)
    return (
        f"{sum(verdict.notifications for verdict in verdicts):,} notifications kept, "
        f"{sum(verdict.deliveries for verdict in verdicts):,} deliveries, "
        f"{sum(verdict.acknowledgements for verdict in verdicts):,} answers to doForms (a broken connection counts as "
        f"one), {faults} faults. The longest seed took {max(verdict.seconds for verdict in verdicts):.0f} s."
    )
