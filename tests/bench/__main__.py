"""``make bench``: what the gateway does per second, against the same machine doing less, or the same by hand.

All that is compared runs at once and is measured one after the other, round by round: a machine that others use too is
then as fast for one as for the other, and a ratio is the median of those within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.load import HEADER, WEBSERVICE
from tests.support.gateway_process import GatewayProcess

CONNECTIONS = 64
TABLE = "CREATE TABLE inspections (doforms_key TEXT PRIMARY KEY, record_key TEXT, delivery_key TEXT UNIQUE)"

ROUTES = """
[gateway]
store = "sqlite:///gateway.db"

[doforms]
report = false

[webhook]
headers = {{ {header} = ["env:BENCH_SECRET"] }}

[webservices.bench]
id = "{webservice}"
form = "Bench"
project = "Bench"

[destinations.table]
plugin = "database"
url = "sqlite:///{folder}/table.db"
concurrency = 1
enabled = {enabled}

[[routes]]
name = "bench"
form = "Bench"
mode = "delayed"

[[routes.deliver]]
to = "table"
table = "inspections"
delivery_key = "delivery_key"
columns = {{ doforms_key = "{{{{ notification.key }}}}", record_key = "{{{{ notification.submission_key }}}}" }}
"""
REST = """
[destinations.service]
plugin = "rest"
url = "{rest}"
concurrency = 64

[[routes.deliver]]
to = "service"
path = "/records"
json = {{ key = "{{{{ notification.key }}}}", record = "{{{{ notification.submission_key }}}}" }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One turn."""

    per_second: float
    p50_ms: float
    p99_ms: float


Table = dict[str, list[Measured]]
"""What was measured in each round, by name; the first is what the others are measured against."""


def load(url: str, count: int, first: int = 0) -> dict[str, Any]:
    """Run the load generator in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.load", url, str(count), str(CONNECTIONS), str(first)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    wrong = {status: number for status, number in found["statuses"].items() if status != "200"}
    if wrong:
        raise SystemExit(f"not every notification was answered 200: {wrong}")
    return found


def measured(found: dict[str, Any]) -> Measured:
    """Return what a run of the load generator measured."""
    return Measured(per_second=found["per_second"], p50_ms=found["p50_ms"], p99_ms=found["p99_ms"])


@contextmanager
def server(*arguments: str) -> Iterator[str]:
    """Run one of `tests.bench.servers`; yields its URL."""
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.servers", *arguments], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def gateway(folder: Path, *, rest: str | None = None, enabled: bool = True) -> Iterator[GatewayProcess]:
    """Run a gateway with an empty store and an empty table."""
    folder.mkdir()
    with sqlite3.connect(folder / "table.db") as table:
        table.execute("PRAGMA journal_mode=WAL")
        table.execute(TABLE)
    text = ROUTES.format(header=HEADER[0], webservice=WEBSERVICE, folder=folder, enabled=str(enabled).lower())
    (folder / "routes.toml").write_text(text + (REST.format(rest=rest) if rest else ""))
    environ = {"BENCH_SECRET": HEADER[1]}
    process = GatewayProcess(folder / "routes.toml", environ=environ)
    process.start()
    try:
        yield process
    finally:
        process.stop()


def acknowledge(folder: Path, rounds: int, count: int) -> Table:
    """Compare answers: of a handler that keeps nothing, and of the gateway, each after a durable keep."""
    with (
        server("bare") as bare,
        gateway(folder / "waits", enabled=False) as waits,
        gateway(folder / "works") as works,
    ):
        urls = {
            "bare Starlette handler": f"{bare}/webhooks/doforms",
            "gateway, kept; the destination waits": waits.url,
            "gateway, kept; a row is written meanwhile": works.url,
        }
        table: Table = {name: [] for name in urls}
        for number in range(rounds + 1):
            for name, url in urls.items():
                found = measured(load(url, count, first=number * count))
                if number:  # the first round is for warming up
                    table[name].append(found)
                if url == works.url:
                    wait_until_settled(works, (number + 1) * count)
        return table


def deliver(folder: Path, rounds: int, count: int) -> Table:
    """Compare full deliveries: of a hand-written handler, where an answer is one, and of the gateway."""
    inline_folder = folder / "inline"
    inline_folder.mkdir()
    with sqlite3.connect(inline_folder / "table.db") as database:
        database.execute(TABLE)
    with (
        server("sink") as rest,
        server("inline", str(inline_folder / "table.db"), rest) as inline,
        gateway(folder / "delivers", rest=rest) as process,
    ):
        table: Table = {"FastAPI handler with plain httpx": [], "gateway, arrival to last settlement": []}
        for number in range(rounds + 1):
            by_hand = measured(load(f"{inline}/webhooks/doforms", count // 2, first=number * count))
            started_at = load(process.url, count, first=number * count)["started_at"]
            wait_until_settled(process, (number + 1) * count)
            if number:
                for found, one in zip(table.values(), (by_hand, settled_since(process, started_at)), strict=True):
                    found.append(one)
        return table


def settled_since(process: GatewayProcess, started_at: float) -> Measured:
    """Measure full deliveries: from the first request until the last delivery of the last notification is settled."""
    with sqlite3.connect(process.store) as store:
        rows = store.execute(
            "SELECT max(d.settled_at) - n.received_at, max(d.settled_at) FROM deliveries d "
            "JOIN notifications n ON n.id = d.notification_id WHERE n.received_at >= ? GROUP BY n.id",
            (int(started_at * 1e6),),
        ).fetchall()
    latencies = sorted(row[0] / 1000 for row in rows)
    return Measured(
        per_second=len(rows) / (max(row[1] for row in rows) / 1e6 - started_at),
        p50_ms=latencies[len(rows) // 2],
        p99_ms=latencies[len(rows) * 99 // 100],
    )


def wait_until_settled(process: GatewayProcess, count: int) -> None:
    """Wait until so many notifications have their outcome, all completed."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with sqlite3.connect(process.store) as store:
            found = dict(store.execute("SELECT outcome, count(*) FROM notifications GROUP BY outcome").fetchall())
        if found.get("completed", 0) == count:
            return
        time.sleep(0.05)
    raise SystemExit(f"not everything was delivered: {found}")


def show(title: str, table: Table, bars: Mapping[str, float]) -> bool:
    """Print a comparison with medians over the rounds; ratios are those within a round, against its first row."""
    print(f"\n{title}")
    print(f"  {'':44}{'per second':>12}{'p50 ms':>10}{'p99 ms':>10}{'ratio':>8}{'bar':>7}")
    base = next(iter(table.values()))
    reached = True
    for name, rounds in table.items():
        ratio = median(one.per_second / first.per_second for one, first in zip(rounds, base, strict=True))
        columns = [median(getattr(one, key) for one in rounds) for key in ("per_second", "p50_ms", "p99_ms")]
        bar = bars.get(name)
        met = bar is None or ratio >= bar
        reached &= met
        told = "" if bar is None else f"{bar:7.2f} {'reached' if met else 'MISSED'}"
        print(f"  {name:44}{columns[0]:12.0f}{columns[1]:10.1f}{columns[2]:10.1f}{ratio:8.2f}{told}")
    return reached


def main() -> None:
    """Measure and print; the exit status is 1 if a bar was missed."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rounds", type=int, default=5, help="measure each pair so often, one after the other")
    parser.add_argument("--notifications", type=int, default=6_000, help="so many in each round")
    options = parser.parse_args()
    rounds, count = options.rounds, options.notifications
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{CONNECTIONS} connections, medians of {rounds} rounds"
    )
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        acknowledged = show(
            "Acknowledged in delayed mode, against a handler that only parses",
            acknowledge(folder, rounds, count),
            {"gateway, kept; the destination waits": 0.5},
        )
        delivered = show(
            "Fully delivered: one row and one REST call each, against the same by hand",
            deliver(folder, rounds, count // 4),
            {"gateway, arrival to last settlement": 2.5},
        )
    sys.exit(0 if acknowledged and delivered else 1)


if __name__ == "__main__":
    main()
