"""A real gateway in a process of its own, as ops run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from sqlalchemy import Connection

from gateway.store.connect import open_database

START_WITHIN = 30.0


@dataclass
class GatewayProcess:
    """``gateway serve`` on a routes file; its log goes to ``gateway.log`` beside that."""

    routes: Path
    environ: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    port: int = 0
    _log_start: int = 0

    @property
    def log_file(self) -> Path:
        return self.routes.with_name("gateway.log")

    @property
    def store(self) -> Path:
        return self.routes.with_name("gateway.db")

    def start(self) -> None:
        """Start it and wait until it listens; a second start listens on the same port."""
        self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        command = [sys.executable, "-m", "gateway", "serve", "--routes", str(self.routes), "--port", str(self.port)]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--log-format", "json", *self.arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environ},
            )
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            for line in self.lines():
                if line.get("event") == "listening":
                    self.url = line["url"]
                    self.port = int(self.url.split(":")[2].split("/")[0])
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the gateway did not start:\n{self.log_file.read_text()[-4000:]}")

    def lines(self) -> list[dict[str, Any]]:
        """Return what this start has logged; a line that is no JSON comes as its text."""
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
