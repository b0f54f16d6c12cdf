"""A log that nobody reads: the gateway answers and ends all the same, and tells how many lines were dropped."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import SECRETS
from tests.support.tcp import unused_port

WITHIN = 30.0


@contextmanager
def serving(site: Path, stderr: int | None, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start a gateway whose log goes to a descriptor (None: it has none), and wait until it answers."""
    port = unused_port()
    command = [sys.executable, "-m", "gateway", "serve", "--routes", str(site), "--port", str(port), *options]
    close = (lambda: os.close(2)) if stderr is None else None
    with subprocess.Popen(command, stderr=stderr, env={**os.environ, **SECRETS}, preexec_fn=close) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            until_alive(process, url)
            yield process, url
            process.send_signal(signal.SIGTERM)
            assert process.wait(WITHIN) == 0
        finally:
            process.kill()


def until_alive(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + WITHIN
    while True:
        try:
            assert httpx.get(f"{url}/healthz", timeout=5.0).status_code == 200
        except httpx.TransportError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    """A pipe that takes nothing more; returns the end to read from and the one to write to."""
    reader, writer = os.pipe()
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"x" * 1024)
    except BlockingIOError:
        pass
    fcntl.fcntl(writer, fcntl.F_SETFL, flags)
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_full_pipe_holds_up_neither_answers_nor_the_end(site: Path, full_pipe: tuple[int, int], level: str) -> None:
    with serving(site, full_pipe[1], "--log-level", level) as (_, url), httpx.Client(timeout=10.0) as client:
        for _ in range(200):
            assert client.post(f"{url}/webhooks/doforms", content=b"{}").status_code == 401
            assert client.get(f"{url}/readyz").status_code == 200


def test_terminal_that_is_read_late_gets_the_lines_in_order(site: Path, full_pipe: tuple[int, int]) -> None:
    reader, writer = full_pipe
    with serving(site, writer, "--log-format", "json") as (process, _):
        os.read(reader, 1 << 20)
        process.send_signal(signal.SIGTERM)
        process.wait(WITHIN)
    told = os.read(reader, 1 << 20).decode()
    assert told.index('"listening"') < told.index('"stopping') < told.index('"stopped"')


def test_closed_standard_error_stops_nothing(site: Path) -> None:
    with serving(site, None) as (_, url):
        assert httpx.post(f"{url}/webhooks/doforms", content=b"{}").status_code == 401


def test_reader_that_went_away_stops_nothing(site: Path) -> None:
    reader, writer = os.pipe()
    with serving(site, writer) as (_, url):
        os.close(writer)
        os.close(reader)
        for _ in range(50):
            assert httpx.post(f"{url}/webhooks/doforms", content=b"{}").status_code == 401


def test_full_disk_of_the_log_stops_nothing(site: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with serving(site, full) as (_, url):
        os.close(full)
        assert httpx.post(f"{url}/webhooks/doforms", content=b"{}").status_code == 401
