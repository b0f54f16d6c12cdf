"""Signals to ``gateway serve`` at any moment: none is lost, and each ends or reloads it in order."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import SECRETS

STARTED_WITHIN = 60.0


class Served:
    """``gateway serve`` from its first moment on."""

    def __init__(self, site: Path) -> None:
        self.log = site.with_name("serve.log")
        command = [sys.executable, "-m", "gateway", "serve", "--routes", str(site), "--port", "0"]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--log-format", "json"], stdout=output, stderr=output, env={**os.environ, **SECRETS}
            )

    def hears(self) -> None:
        """Wait until it has caught SIGHUP: the interpreter itself takes a moment until its first statement."""
        status = Path(f"/proc/{self.process.pid}/status")
        self.until(lambda: bool(_caught(status) & 1 << (signal.SIGHUP - 1)))

    def until(self, condition: Any) -> None:
        deadline = time.monotonic() + STARTED_WITHIN
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.002)

    def events(self) -> list[str]:
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [str(json.loads(line)["event"]) for line in lines]


def _caught(status: Path) -> int:
    found = [line for line in status.read_text().splitlines() if line.startswith("SigCgt:")]
    return int(found[0].split()[1], 16)


@pytest.fixture
def served(site: Path) -> Iterator[Served]:
    made = Served(site)
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("after", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.2, 1.8, 3.0])
def test_signal_to_end_is_status_0_from_the_first_statement_on(
    served: Served, number: signal.Signals, after: float
) -> None:
    served.hears()
    time.sleep(after * random.uniform(0.8, 1.2))
    served.process.send_signal(number)
    assert served.process.wait(30) == 0, served.log.read_text()[-3000:]
    assert "Traceback" not in served.log.read_text()
    store = served.log.with_name("gateway.db")
    if store.exists():
        database = sqlite3.connect(store)
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.close()


@pytest.mark.parametrize("after", [0.0, 0.1, 0.3, 0.6, 1.0, 2.0])
def test_hangup_while_it_starts_is_served_once_it_runs(served: Served, after: float) -> None:
    served.hears()
    time.sleep(after)
    served.process.send_signal(signal.SIGHUP)
    served.until(lambda: "routes loaded again" in served.events())
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0


def test_signals_in_any_order_never_end_it_otherwise_than_in_order(served: Served) -> None:
    served.hears()
    for _ in range(30):
        time.sleep(random.uniform(0.0, 0.1))
        served.process.send_signal(signal.SIGHUP)
    served.until(lambda: "routes loaded again" in served.events())
    served.process.send_signal(signal.SIGTERM)
    while served.process.poll() is None:
        served.process.send_signal(signal.SIGHUP)
        time.sleep(0.001)
    assert served.process.returncode == 0
    assert served.events()[-1] == "stopped"
