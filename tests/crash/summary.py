"""What a run shows: a line a seed, and in the end how often each fault was done and how often each invariant held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.crash.plan import Kind
from tests.crash.seed import Verdict
from tests.crash.stores import Backend

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
    done = Counter(fault.kind for verdict in verdicts for fault in verdict.faults)
    faults = Table("fault", "times", title=f"Faults on {backend.name}, {processes} process(es), {len(verdicts)} seeds")
    for kind in Kind:
        faults.add_row(kind.value, str(done[kind]) if kind in backend.kinds else "not staged here")
    console.print(faults)
    invariants = Table("invariant", "held", "broken in seeds", title="Invariants")
    for name in verdicts[0].found:
        broken = [verdict.seed for verdict in verdicts if verdict.found[name]]
        held = f"{len(verdicts) - len(broken)}/{len(verdicts)}"
        invariants.add_row(name, held, " ".join(map(str, broken)), style="red" if broken else None)
    console.print(invariants)
    console.print(
        f"{sum(verdict.notifications for verdict in verdicts):,} notifications kept, "
        f"{sum(verdict.acknowledgements for verdict in verdicts):,} answers, "
        f"{sum(verdict.deliveries for verdict in verdicts):,} deliveries, {sum(done.values())} faults; "
        f"the longest seed took {max(verdict.seconds for verdict in verdicts):.1f} s",
        highlight=False,
    )
