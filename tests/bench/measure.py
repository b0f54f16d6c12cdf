"""What a comparison is made of: what was measured in each round, and how it is shown."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

CONNECTIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One turn."""

    per_second: float
    p50_ms: float
    p99_ms: float


Table = dict[str, list[Measured]]
"""What was measured in each round, by name; the first is what the others are measured against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int
    count: int
    """Notifications of a round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Rates that are compared within one run."""

    title: str
    run: Callable[[Path, Size], Table]
    """Takes a folder of its own and how much to measure."""
    bars: Mapping[str, float] = field(default_factory=dict)
    """The least ratio to the first row that is aimed at, by row."""
    by: str = "per_second"
    """What the ratio is of: ``per_second``, or ``p50_ms``, where less is more."""
    latest: Mapping[str, float] = field(default_factory=dict)
    """The greatest 99th percentile that is aimed at, in milliseconds, by row."""


def load(url: str, count: int, *, first: int = 0, records: int = 0, rate: float = 0.0) -> dict[str, Any]:
    """Run the load generator in a process of its own; see `tests.bench.load`."""
    command = [sys.executable, "-m", "tests.bench.load", url, str(count), f"--connections={CONNECTIONS}"]
    options = [f"--first={first}", f"--records={records}", f"--rate={rate}"]
    found: dict[str, Any] = json.loads(subprocess.run([*command, *options], check=True, capture_output=True).stdout)
    wrong = {status: number for status, number in found["statuses"].items() if status != "200"}
    if wrong:
        raise SystemExit(f"not every notification was answered 200: {wrong}")
    return found


def measured(found: Mapping[str, Any]) -> Measured:
    """Return what a run of the load generator measured."""
    return Measured(per_second=found["per_second"], p50_ms=found["p50_ms"], p99_ms=found["p99_ms"])


def show(comparison: Comparison, table: Table) -> bool:
    """Print a comparison with medians over the rounds; returns whether what is aimed at was reached.

    Ratios are those within a round, against the first row.
    """
    print(f"\n{comparison.title}")
    print(f"  {'':52}{'per second':>12}{'p50 ms':>10}{'p99 ms':>10}{'ratio':>8}{'aim':>8}")
    base = next(iter(table.values()))
    reached = True
    for name, rounds in table.items():
        ratio = median(_ratio(one, first, comparison.by) for one, first in zip(rounds, base, strict=True))
        per_second, p50, p99 = (
            median(getattr(one, key) for one in rounds) for key in ("per_second", "p50_ms", "p99_ms")
        )
        aim, met = "", True
        if (bar := comparison.bars.get(name)) is not None:
            aim, met = f"{bar:8.2f}", ratio >= bar
        if (most := comparison.latest.get(name)) is not None:
            aim, met = f"{most:5.0f} ms", p99 <= most
        reached &= met
        told = "" if not aim else f"{aim} {'reached' if met else 'MISSED'}"
        print(f"  {name:52}{per_second:12.0f}{p50:10.1f}{p99:10.1f}{ratio:8.2f}{told}", flush=True)
    return reached


def _ratio(one: Measured, first: Measured, by: str) -> float:
    if by == "p50_ms":
        return first.p50_ms / one.p50_ms
    return one.per_second / first.per_second
