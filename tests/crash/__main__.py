"""``make crash``: the conservation test over many seeds."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.crash.bugs import BUGS
from tests.crash.plan import Kind
from tests.crash.seed import Verdict, run_seed
from tests.crash.stores import Backend, backend
from tests.crash.summary import show_seed, show_sum, write_markdown


def main() -> int:
    """Run the seeds; returns 1 if an invariant was broken."""
    given = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    folder.chmod(0o755)  # the database server may run as another user
    only = None if not given.only else {Kind(name) for name in given.only}
    with backend(given.store, folder) as store:
        verdicts = asyncio.run(_run(given, store, folder, only))
    broken = [verdict for verdict in verdicts if not verdict.clean]
    if not broken:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken else 0


async def _run(given: argparse.Namespace, store: Backend, folder: Path, only: set[Kind] | None) -> list[Verdict]:
    console = Console()
    verdicts = []
    for seed in range(given.seed, given.seed + given.seeds):
        where = folder / f"seed-{seed}"
        verdict = await run_seed(seed, store, where, processes=given.processes, only=only, bug=given.bug)
        show_seed(console, verdict)
        if verdict.clean:
            shutil.rmtree(where, ignore_errors=True)
        verdicts.append(verdict)
    show_sum(console, verdicts, store, processes=given.processes)
    if given.markdown is not None:
        write_markdown(given.markdown, verdicts, store, processes=given.processes)
    return verdicts


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="The conservation test over many seeds.")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds to run (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--processes", type=int, default=1, help="gateways that share the store (PostgreSQL only)")
    parser.add_argument("--only", action="append", choices=[kind.value for kind in Kind], help="only these faults")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file, as Markdown")
    parser.add_argument("--bug", choices=sorted(BUGS), help="switch a guard of the gateway off")
    given = parser.parse_args()
    if given.store == "sqlite" and given.processes != 1:
        parser.error("an SQLite store belongs to one process: give --store postgresql, or one process")
    return given


if __name__ == "__main__":
    sys.exit(main())
