"""The servers that are measured, as processes: the gateway on a store of its own, and what it is compared with."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text

from tests.bench.load import HEADER, WEBSERVICE
from tests.bench.measure import Measured
from tests.support.gateway_process import GatewayProcess, Launch, launch

LONGEST = 300.0
"""Seconds after which deliveries that have not ended are taken for stuck."""
TABLE = "CREATE TABLE inspections (doforms_key TEXT PRIMARY KEY, record_key TEXT, delivery_key TEXT UNIQUE)"
COMMON = """
[gateway]
store = "{store}"
backlog_limit = 10_000_000

[doforms]
api = "http://127.0.0.1:9"
report = false

[webhook]
headers = {{ {header} = ["env:BENCH_SECRET"] }}

[webservices.bench]
id = "{webservice}"
form = "Bench"
project = "Bench"
"""
ROUTE = """
[[routes]]
name = "bench"
form = "Bench"
mode = "delayed"
"""
ROW = """
[destinations.table]
plugin = "database"
url = "sqlite:///{folder}/table.db"
concurrency = 1
enabled = {enabled}
"""
DELIVER_ROW = """
[[routes.deliver]]
to = "table"
table = "inspections"
delivery_key = "delivery_key"
columns = { doforms_key = "{{ notification.key }}", record_key = "{{ notification.submission_key }}" }
"""
CALL = """
[destinations.service]
plugin = "rest"
url = "{rest}"
concurrency = 64
"""
DELIVER_CALL = """
[[routes.deliver]]
to = "service"
path = "/records"
json = { key = "{{ notification.key }}", record = "{{ notification.submission_key }}" }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway that runs, and its store."""

    process: GatewayProcess
    engine: Engine

    @property
    def url(self) -> str:
        """Where notifications go."""
        return self.process.url

    @property
    def resident_mb(self) -> float:
        """Resident memory in megabytes."""
        assert self.process.process is not None
        status = Path(f"/proc/{self.process.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def query(self, statement: str, **parameters: Any) -> Sequence[Any]:
        """Read the store."""
        with self.engine.connect() as connection:
            return connection.execute(text(statement), parameters).fetchall()

    def wait_until_ended(self, destination: str, count: int) -> None:
        """Wait until so many deliveries to a destination have ended, all delivered."""
        deadline = time.monotonic() + LONGEST
        while time.monotonic() < deadline:
            found = self.query(
                "SELECT state, count(*) FROM deliveries WHERE destination = :d GROUP BY 1", d=destination
            )
            states = {row[0]: row[1] for row in found}
            if states.get("delivered", 0) == count:
                return
            time.sleep(0.05)
        raise SystemExit(f"not everything was delivered to {destination}: {states}")

    def delivered_since(self, started_at: float, *destinations: str) -> Measured:
        """Measure full deliveries: from the first request until the last delivery of the last notification settled."""
        names = ", ".join(f"'{name}'" for name in destinations)
        rows = self.query(
            "SELECT max(d.settled_at) - n.received_at, max(d.settled_at) FROM deliveries d "
            f"JOIN notifications n ON n.id = d.notification_id WHERE n.received_at >= :since "
            f"AND d.destination IN ({names}) GROUP BY n.id, n.received_at",
            since=int(started_at * 1e6),
        )
        latencies = sorted(row[0] / 1000 for row in rows)
        return Measured(
            per_second=len(rows) / (max(row[1] for row in rows) / 1e6 - started_at),
            p50_ms=latencies[len(rows) // 2],
            p99_ms=latencies[len(rows) * 99 // 100],
        )


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
def gateway(
    folder: Path,
    *,
    row: bool = True,
    rest: str | None = None,
    enabled: bool = True,
    more: str = "",
    store: str | None = None,
    environ: dict[str, str] | None = None,
    fill: Callable[[Connection], None] | None = None,
    launch: Launch = launch,
) -> Iterator[Gateway]:
    """Run a gateway with an empty table, and an empty store unless it is told another one.

    Its only route writes a ``row``, and calls a service at ``rest``; ``more`` is added to the routes file, behind the
    deliveries of that route. ``enabled=False``: the table's destination waits. ``fill`` writes into the store before
    the gateway starts.
    """
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "table.db") as table:
        table.execute("PRAGMA journal_mode=WAL")
        table.execute(TABLE)
    common = COMMON.format(store=store or "sqlite:///gateway.db", header=HEADER[0], webservice=WEBSERVICE)
    parts = [
        common,
        ROW.format(folder=folder, enabled=str(enabled).lower()) if row else "",
        CALL.format(rest=rest) if rest else "",
        ROUTE,
        DELIVER_ROW if row else "",
        DELIVER_CALL if rest else "",
        more,
    ]
    (folder / "routes.toml").write_text("".join(parts))
    process = GatewayProcess(
        folder / "routes.toml", environ={"BENCH_SECRET": HEADER[1], **(environ or {})}, launch=launch
    )
    engine = create_engine(store or f"sqlite:///{folder / 'gateway.db'}")
    if fill is not None:
        subprocess.run(
            [sys.executable, "-m", "gateway", "migrate", "--routes", str(process.routes)],
            check=True,
            capture_output=True,
        )
        with engine.begin() as connection:
            fill(connection)
    process.start()
    try:
        yield Gateway(process=process, engine=engine)
    finally:
        process.stop()
        engine.dispose()
