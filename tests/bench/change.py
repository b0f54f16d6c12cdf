"""What a change costs: the gateway of another checkout and this one, both running, measured one after the other.

The other checkout has an environment of its own in its ``.venv``.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import noop
from tests.bench.comparisons import (
    NOOP,
    answers,
    busy_answers,
    database_server,
    deliveries,
    rounds,
    shared_deliveries,
    steady_deliveries,
)
from tests.bench.measure import Comparison, Measured, Size, Table
from tests.bench.running import Gateway, gateway, server
from tests.support.gateway_process import Launch, Process, launch

WORST = 0.95
"""The least ratio to before that is aimed at."""
_NAMES = ("before", "after")
Turn = Callable[[int, int], Measured]
Run = Callable[[Path, Path, Size], Table]
"""Given the other checkout, a folder and how much to measure."""


def _launch_of(checkout: Path) -> Launch:
    def launch_there(arguments: Sequence[str], log: Path, environ: dict[str, str]) -> Process:
        with log.open("ab") as output:
            return subprocess.Popen(
                [checkout / ".venv" / "bin" / "python", "-m", "gateway", *arguments],
                stdout=output,
                stderr=output,
                env={**os.environ, **environ},
                cwd=checkout,
            )

    return launch_there


@contextmanager
def _both(checkout: Path, folder: Path, **options: Any) -> Iterator[tuple[Gateway, Gateway]]:
    """Run a gateway of each, with the same options."""
    with (
        gateway(folder / "before", launch=_launch_of(checkout), **options) as before,
        gateway(folder / "after", launch=launch, **options) as after,
    ):
        yield before, after


def _measure(size: Size, before: Turn, after: Turn, share: int = 1) -> Table:
    size = Size(rounds=size.rounds, count=size.count // share)
    return rounds(size, dict(zip(_NAMES, (before, after), strict=True)))


def _acknowledged(checkout: Path, folder: Path, size: Size) -> Table:
    with _both(checkout, folder, enabled=False) as (before, after):
        return _measure(size, answers(before.url), answers(after.url))


def _busy(checkout: Path, folder: Path, size: Size) -> Table:
    with _both(checkout, folder) as (before, after):
        return _measure(size, busy_answers(before), busy_answers(after))


def _delivered(checkout: Path, folder: Path, size: Size) -> Table:
    with server("sink") as rest, _both(checkout, folder, rest=rest) as both:
        before, after = (deliveries(one, "table", "service") for one in both)
        return _measure(size, before, after, share=4)


def _hot(checkout: Path, folder: Path, size: Size) -> Table:
    with _both(checkout, folder) as both:
        before, after = (deliveries(one, "table", records=10) for one in both)
        return _measure(size, before, after, share=4)


def _latency(checkout: Path, folder: Path, size: Size) -> Table:
    with _both(checkout, folder, row=False, more=NOOP, environ=noop.install(folder)) as both:
        before, after = (steady_deliveries(one, 200) for one in both)
        return _measure(size, before, after, share=3)


def _postgresql(checkout: Path, folder: Path, size: Size) -> Table:
    with database_server() as databases, ExitStack() as stack:
        before, after = (
            stack.enter_context(
                gateway(folder / name, enabled=False, store=databases.make_database(migrated=False), launch=one)
            )
            for name, one in zip(_NAMES, (_launch_of(checkout), launch), strict=True)
        )
        return _measure(size, answers(before.url), answers(after.url), share=2)


def _processes(checkout: Path, folder: Path, size: Size) -> Table:
    with database_server() as databases, server("sink") as rest, ExitStack() as stack:
        turns = []
        for name, one in zip(_NAMES, (_launch_of(checkout), launch), strict=True):
            store = databases.make_database(migrated=False)
            pair = [
                stack.enter_context(gateway(folder / f"{name}-{number}", row=False, rest=rest, store=store, launch=one))
                for number in range(2)
            ]
            turns.append(shared_deliveries(*pair))
        before, after = turns
        return _measure(size, before, after, share=4)


_CHANGES: Mapping[str, tuple[str, Run, str]] = {
    "acknowledged": ("Acknowledged in delayed mode", _acknowledged, "per_second"),
    "busy": ("Acknowledged, a row is written meanwhile", _busy, "per_second"),
    "delivered": ("Fully delivered: one row and one REST call each", _delivered, "per_second"),
    "hot": ("Delivered, ten records", _hot, "per_second"),
    "latency": ("Arrival to effect at 200 a second (ratio of p50)", _latency, "p50_ms"),
    "postgresql": ("Acknowledged with the store in PostgreSQL", _postgresql, "per_second"),
    "processes": ("Delivered by two processes on one PostgreSQL store", _processes, "per_second"),
}


def changes(checkout: Path) -> Mapping[str, Comparison]:
    """Return the comparisons of another checkout with this one, by name."""
    return {
        name: Comparison(title=title, run=partial(run, checkout), bars={"after": WORST}, by=by)
        for name, (title, run, by) in _CHANGES.items()
    }
