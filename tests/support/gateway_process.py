"""A real gateway in a process of its own, as ops run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.error import HTTPError
from urllib.request import urlopen

from sqlalchemy import Connection

from gateway.store.engine.connect import open_database

START_WITHIN = 30.0
QUIET = 0.05
"""Seconds without a new line after which the log is taken as written."""


class Process(Protocol):
    """A process that was started, as `subprocess.Popen` is one."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...


Launch = Callable[[Sequence[str], Path, dict[str, str]], Process]
"""Given the arguments of ``gateway``, the file of its log, and what to add to the environment."""


def launch(arguments: Sequence[str], log: Path, environ: dict[str, str]) -> Process:
    """Start ``gateway`` in an interpreter of its own."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "gateway", *arguments], stdout=output, stderr=output, env={**os.environ, **environ}
        )


@dataclass
class GatewayProcess:
    """``gateway serve`` on a routes file; its log goes to a file beside that."""

    routes: Path
    environ: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    log_name: str = "gateway.log"
    launch: Launch = launch
    process: Process | None = None
    url: str = ""
    port: int = 0
    _log_start: int = 0

    @property
    def log_file(self) -> Path:
        return self.routes.with_name(self.log_name)

    @property
    def store(self) -> Path:
        return self.routes.with_name("gateway.db")

    @property
    def processor_seconds(self) -> float:
        """Processor time that it has taken; it must run."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()  # type: ignore[union-attr]
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def start(self) -> None:
        """Start it and wait until it listens; a second start listens on the same port."""
        self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        where = ("--routes", str(self.routes), "--port", str(self.port))
        self.process = self.launch(
            ["serve", *where, "--log-format", "json", *self.arguments], self.log_file, self.environ
        )
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            for line in self._lines_so_far():
                if line.get("event") == "listening":
                    self.url = line["url"]
                    self.port = int(self.url.split(":")[2].split("/")[0])
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the gateway did not start:\n{self.log_file.read_text()[-4000:]}")

    def lines(self) -> list[dict[str, Any]]:
        """Return what this start has logged; a line that is no JSON comes as its text.

        A line is written a moment after it was logged, by a thread of its own: waits until none has come for `QUIET`.
        """
        size = -1
        while size != (size := self.log_file.stat().st_size):
            time.sleep(QUIET)
        return self._lines_so_far()

    def _lines_so_far(self) -> list[dict[str, Any]]:
        text = self.log_file.read_bytes()[self._log_start :].decode(errors="replace")
        return [_parsed(line) for line in text.splitlines()]

    def health(self) -> dict[str, Any]:
        """Return what ``/readyz`` says."""
        with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def readiness(self) -> tuple[int, dict[str, Any]]:
        """Return the status and the body of ``/readyz``."""
        try:
            return 200, self.health()
        except HTTPError as error:
            return error.code, json.load(error)

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def reload(self) -> dict[str, Any]:
        """Have it load its routes again; returns the line that tells what came of it."""
        before = len(self._reloads())
        self.tell(signal.SIGHUP)
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            if len(found := self._reloads()) > before:
                return found[before]
            time.sleep(0.02)
        raise AssertionError("it did not load its routes again")

    def _reloads(self) -> list[dict[str, Any]]:
        return [
            line
            for line in self._lines_so_far()
            if str(line["event"]).startswith(("routes loaded again", "reload failed"))
        ]

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end; returns its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open its store for reading."""
        database = open_database(f"sqlite:///{self.store}")
        try:
            with database.read() as connection:
                yield connection
        finally:
            database.close()


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"event": "", "text": line}
