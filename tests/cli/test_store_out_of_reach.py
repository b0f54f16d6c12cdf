"""A store that cannot be opened: each command tells path, user and remedy in a sentence, and makes nothing."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import SECRETS
from tests.cli.test_serve import refused
from tests.support.gateway_process import GatewayProcess
from tests.support.tcp import unused_port

COMMANDS = [
    ("serve", "--port", "0"),
    ("alarms",),
    ("deliveries", "list"),
    ("destinations", "list"),
    ("notifications", "list"),
    ("quarantine", "list"),
    ("webservices", "list"),
    ("migrate",),
    ("prune", "--yes"),
    ("store", "check"),
    ("store", "backup", "copy.db"),
    ("reload",),
    ("check", "--connect"),
    ("reconcile", "--books", "--since", "2h"),
]


def said(site: Path, store: str, command: tuple[str, ...], *, user: int | None = None) -> tuple[int, str]:
    """Run a command on a site whose store is another one; return its exit status and all that it said."""
    text = site.read_text()
    if "[gateway]" not in text:
        site.write_text(f'[gateway]\nstore = "{store}"\n{text}')
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", *command, "--routes", str(site)],
        env={**os.environ, **SECRETS, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=site.parent,
        user=user,
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_missing_folder_is_a_sentence_and_is_not_made(site: Path, command: tuple[str, ...]) -> None:
    folder = site.parent / "nowhere"
    status, told = said(site, f"sqlite:///{folder}/gateway.db", command)
    assert status == 1
    assert "Traceback" not in told
    assert f"the folder {folder} of the store {folder}/gateway.db does not exist" in told
    assert "install -d -m 700" in told
    assert not folder.exists()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_folder_that_takes_no_files_is_a_sentence(site: Path, command: tuple[str, ...]) -> None:
    """Nobody may write in this one, not even root."""
    status, told = said(site, "sqlite:////proc/self/gateway.db", command)
    assert status == 1
    assert "Traceback" not in told
    assert "/proc/self/gateway.db" in told
    assert "the user " in told


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_database_server_that_is_not_there_is_a_sentence(site: Path, command: tuple[str, ...]) -> None:
    status, told = said(site, f"postgresql+psycopg://gateway@127.0.0.1:{unused_port()}/store", command)
    assert status == 1
    assert "Traceback" not in told
    assert (
        "postgresql+psycopg://gateway@127.0.0.1" in told or "several processes can share" in told or "pg_dump" in told
    )


def test_check_without_connect_only_warns_of_the_store_of_another_machine(site: Path) -> None:
    status, told = said(site, "sqlite:////nowhere/gateway.db", ("check",))
    assert status == 0
    assert "the folder /nowhere of the store /nowhere/gateway.db does not exist" in told


def test_new_store_is_told_by_check_and_in_the_log(site: Path) -> None:
    store = site.with_name("gateway.db")
    status, told = said(site, f"sqlite:///{store}", ("check",))
    assert status == 0
    assert f"There is no store at {store} yet: `gateway serve` makes a new one." in told
    assert not store.exists()
    gateway = GatewayProcess(site, environ=SECRETS)
    gateway.start()
    assert gateway.stop() == 0
    assert any("the store is new and empty" in str(line["event"]) for line in gateway.lines())
    gateway.start()
    assert gateway.stop() == 0
    assert not any("the store is new and empty" in str(line["event"]) for line in gateway.lines())


def test_symbolic_link_to_a_held_store_is_refused(site: Path) -> None:
    gateway = GatewayProcess(site, environ=SECRETS)
    gateway.start()
    try:
        link = site.with_name("link.db")
        link.symlink_to(gateway.store)
        other = site.with_name("other.toml")
        other.write_text(f'[gateway]\nstore = "sqlite:///{link}"\n{site.read_text()}')
        status, told = refused(other, "--port", "0")
        assert status == 1
        assert gateway.process is not None
        assert f"(process {gateway.process.pid})" in told
    finally:
        assert gateway.stop() == 0


def test_stop_while_the_file_is_locked_ends_within_the_grace(site: Path) -> None:
    site.write_text(f'[gateway]\nshutdown_grace = "2s"\nanswer_within = "1s"\n{site.read_text()}')
    gateway = GatewayProcess(site, environ=SECRETS)
    gateway.start()
    assert gateway.process is not None
    with closing(sqlite3.connect(gateway.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(httpx.TransportError):  # something waits for the store
            httpx.get(f"http://127.0.0.1:{gateway.port}/readyz", timeout=0.5)
        began = time.monotonic()
        gateway.tell(signal.SIGTERM)
        assert gateway.process.wait(30) == 0
        assert time.monotonic() - began < 2 + 3 + 4
    assert any("shutdown_grace is over" in str(line.get("why")) for line in gateway.lines())


def test_stop_while_it_starts_on_a_locked_file_ends_it(site: Path) -> None:
    gateway = GatewayProcess(site, environ=SECRETS)
    gateway.start()
    gateway.stop()
    with closing(sqlite3.connect(gateway.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        command = [sys.executable, "-m", "gateway", "serve", "--routes", str(site), "--port", "0"]
        with subprocess.Popen(command, env={**os.environ, **SECRETS}, stderr=subprocess.PIPE) as starting:
            time.sleep(3.0)
            assert starting.poll() is None
            starting.send_signal(signal.SIGTERM)
            assert starting.wait(8) == 0
