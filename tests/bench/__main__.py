"""``make bench``: what the gateway does per second, against the same machine doing less, or the same by hand.

Each pair is measured in turns, so that a noisy machine disturbs both alike; the best turn of each counts.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
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
concurrency = 2
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


def acknowledge_bare(count: int) -> Measured:
    """Measure a handler that keeps nothing."""
    with server("bare") as url:
        load(f"{url}/webhooks/doforms", count // 4)
        return measured(load(f"{url}/webhooks/doforms", count))


def acknowledge_gateway(folder: Path, count: int, *, enabled: bool) -> Measured:
    """Measure the gateway's answers in delayed mode, each after a durable keep."""
    with gateway(folder, enabled=enabled) as process:
        load(process.url, count // 4, first=10_000_000)
        return measured(load(process.url, count))


def deliver_inline(folder: Path, count: int) -> Measured:
    """Measure the hand-written handler: an answer is a full delivery."""
    folder.mkdir()
    with sqlite3.connect(folder / "table.db") as table:
        table.execute(TABLE)
    with server("sink") as rest, server("inline", str(folder / "table.db"), rest) as url:
        load(f"{url}/webhooks/doforms", count // 8, first=10_000_000)
        return measured(load(f"{url}/webhooks/doforms", count))


def deliver_gateway(folder: Path, count: int) -> Measured:
    """Measure full deliveries: from the first request until the last delivery of the last notification is settled."""
    with server("sink") as rest, gateway(folder, rest=rest) as process:
        load(process.url, count // 8, first=10_000_000)
        wait_until_settled(process, count // 8)
        started_at = load(process.url, count)["started_at"]
        wait_until_settled(process, count + count // 8)
        with sqlite3.connect(process.store) as store:
            rows = store.execute(
                "SELECT max(d.settled_at) - n.received_at, max(d.settled_at) FROM deliveries d "
                "JOIN notifications n ON n.id = d.notification_id WHERE n.received_at >= ? GROUP BY n.id",
                (int(started_at * 1e6),),
            ).fetchall()
        latencies = sorted(row[0] / 1000 for row in rows)
        seconds = max(row[1] for row in rows) / 1e6 - started_at
        return Measured(
            per_second=len(rows) / seconds,
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


def best(turns: list[Measured]) -> Measured:
    """Return the turn in which the machine was least disturbed."""
    return max(turns, key=lambda one: one.per_second)


def show(title: str, rows: list[tuple[str, Measured]], bar: float) -> bool:
    """Print a comparison: the first row is what the others are measured against."""
    print(f"\n{title}")
    print(f"  {'':44}{'per second':>12}{'p50 ms':>10}{'p99 ms':>10}{'ratio':>8}")
    base = rows[0][1].per_second
    for name, one in rows:
        ratio = one.per_second / base
        print(f"  {name:44}{one.per_second:12.0f}{one.p50_ms:10.1f}{one.p99_ms:10.1f}{ratio:8.2f}")
    reached = all(one.per_second / base >= bar for _, one in rows[1:])
    print(f"  bar: at least {bar:g} of the first row: {'reached' if reached else 'MISSED'}")
    return reached


def turns(count: int, *measures: Callable[[int], Measured]) -> list[Measured]:
    """Take measures in turns, several times, and return the best of each."""
    found: list[list[Measured]] = [[] for _ in measures]
    for turn in range(count):
        for place, measure in enumerate(measures):
            found[place].append(measure(turn))
    return [best(each) for each in found]


def main() -> None:
    """Measure and print; the exit status is 1 if a bar was missed."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--notifications", type=int, default=20_000)
    options = parser.parse_args()
    count = options.notifications
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {CONNECTIONS} connections"
    )
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        bare, kept, kept_and_run = turns(
            options.turns,
            lambda turn: acknowledge_bare(count),
            lambda turn: acknowledge_gateway(folder / f"kept-{turn}", count, enabled=False),
            lambda turn: acknowledge_gateway(folder / f"run-{turn}", count, enabled=True),
        )
        acknowledged = show(
            "Acknowledged in delayed mode, against a handler that only parses",
            [
                ("bare Starlette handler", bare),
                ("gateway, kept; the destination waits", kept),
                ("gateway, kept; a row is written meanwhile", kept_and_run),
            ],
            0.5,
        )
        inline, delivered = turns(
            options.turns,
            lambda turn: deliver_inline(folder / f"inline-{turn}", count // 8),
            lambda turn: deliver_gateway(folder / f"delivered-{turn}", count // 4),
        )
        fully = show(
            "Fully delivered: one row and one REST call each, against the same by hand",
            [("FastAPI handler with plain httpx", inline), ("gateway, arrival to last settlement", delivered)],
            2.5,
        )
    sys.exit(0 if acknowledged and fully else 1)


if __name__ == "__main__":
    main()
