"""``make bench``: what the gateway does per second, against the same machine doing less, or the same by hand.

A machine that others use too is as fast for one as for the other that is measured directly after it, so a ratio is the
median of those within a round. ``make bench ONLY=acknowledged,delivered`` measures less. ``make bench BEFORE=FOLDER``
compares the gateway of another checkout with this one.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from tests.bench.change import changes
from tests.bench.comparisons import COMPARISONS
from tests.bench.measure import CONNECTIONS, Size, show
from tests.bench.memory import show_memory


def main() -> None:
    """Measure and print; the exit status is 1 if something that is aimed at was missed."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rounds", type=int, default=5, help="measure each so often, one after the other")
    parser.add_argument("--notifications", type=int, default=6_000, help="so many in each round")
    parser.add_argument("--only", help="some of the comparisons, separated by commas")
    parser.add_argument("--before", type=Path, help="compare with the gateway of this checkout (with its own .venv)")
    options = parser.parse_args()
    comparisons = COMPARISONS if options.before is None else changes(options.before.resolve())
    names = [*comparisons, "memory"] if options.before is None else [*comparisons]
    wanted = names if options.only is None else [name for name in options.only.split(",") if name]
    if unknown := set(wanted) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{CONNECTIONS} connections, medians of {options.rounds} rounds"
    )
    size = Size(rounds=options.rounds, count=options.notifications)
    reached = True
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
            if name == "memory":
                show_memory(Path(folder))
            else:
                comparison = comparisons[name]
                reached &= show(comparison, comparison.run(Path(folder), size))
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
