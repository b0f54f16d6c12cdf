"""``make hostile``: a hostile hour, or a part of one."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.crash.stores import backend
from tests.hostile.report import cells, faults_of, show, write_markdown
from tests.hostile.run import names, run


def main() -> int:
    """Attack; returns 1 if something went wrong."""
    given = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    folder.chmod(0o755)  # the database server may run as another user
    shared = f"{given.store}, {given.processes} process{'es' if given.processes > 1 else ''}"
    with backend(given.store, folder) as store:
        if wrong := sorted({*given.only} - {*names(store)}):
            print(f"there is no attack {', '.join(wrong)}: give one of {', '.join(names(store))}", file=sys.stderr)
            return 2
        seconds = given.minutes * 60
        result = asyncio.run(
            run(
                given.seed,
                store,
                folder / "run",
                seconds=seconds,
                processes=given.processes,
                only=given.only,
                saw=lambda row: print("  ".join(cells(row)), flush=True),
            )
        )
    console = Console(width=None if sys.stdout.isatty() else 160)
    show(console, result, shared)
    if given.markdown is not None:
        write_markdown(given.markdown, result, shared)
    if faults_of(result):
        console.print(f"logs: {folder}", highlight=False, soft_wrap=True)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description="A hostile hour, or a part of one.")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long (default 5; an hour is 60)")
    parser.add_argument("--seed", type=int, default=0, help="of what is left to chance (default 0)")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--processes", type=int, default=1, help="gateways that share the store (PostgreSQL only)")
    parser.add_argument("--only", action="append", default=[], metavar="ATTACK", help="only these attacks")
    parser.add_argument("--markdown", type=Path, help="write the table to this file, as Markdown")
    given = parser.parse_args()
    if given.store == "sqlite" and given.processes != 1:
        parser.error("an SQLite store belongs to one process: give --store postgresql, or one process")
    return given


if __name__ == "__main__":
    sys.exit(main())
