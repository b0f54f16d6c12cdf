"""A real MariaDB server for tests, with a fresh database for each."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import URL

from tests.support.tcp import unused_port

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/usr/local/bin"))
"""Where the server is looked for: its folder is not on the path of everybody."""
_START_WITHIN = 30.0
_OPTIONS = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=32M",
    "--innodb-flush-log-at-trx-commit=0",  # a test's power does not fail
    "--innodb-doublewrite=0",
    "--performance-schema=0",
)


def find(program: str) -> str:
    """Return the path of a program of MariaDB; the test is skipped where it is not installed."""
    found = shutil.which(program, path=_PATH)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


class MariaDB:
    """A server with data of its own, on a socket and on a port of loopback; ``root`` needs no password."""

    def __init__(self, *options: str) -> None:
        self._program = find("mariadbd")
        self._folder = Path(tempfile.mkdtemp(prefix="gateway-mariadb-"))
        self._options = (*_OPTIONS, *options)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self._install()
        self.start()

    @property
    def url(self) -> URL:
        """Where the server is, as its superuser; no database, and no time lost with certificates."""
        return URL.create("mariadb+pymysql", "root", host="127.0.0.1", port=self.port, query={"ssl_disabled": "true"})

    def make_database(self, name: str) -> None:
        """Make a database, empty whatever it held before."""
        self.run(
            f"DROP DATABASE IF EXISTS `{name}`", f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the superuser; return the rows of the last one."""
        with pymysql.connect(
            unix_socket=str(self._socket), user="root", autocommit=True, ssl_disabled=True
        ) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            return [tuple(row) for row in cursor.fetchall()]

    def start(self) -> None:
        """Start it; a second start keeps data and port."""
        self.port = self.port or unused_port()
        places = [f"--socket={self._socket}", f"--port={self.port}", f"--pid-file={self._folder / 'pid'}"]
        places += [f"--tmpdir={self._folder}"]  # each that starts deletes what others left in a shared one
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, *self._common(), *places, *self._options], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mariadbd did not start: {self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it as a restart does: sessions are ended, transactions rolled back."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None

    def end(self) -> None:
        """Stop it for good."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _socket(self) -> Path:
        return self._folder / "socket"

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _common(self) -> list[str]:
        """Return what both programs are told: no settings of the machine, and the user that we are."""
        user = pwd.getpwuid(os.getuid()).pw_name  # root is refused unless it is said
        return ["--no-defaults", f"--datadir={self._folder / 'data'}", f"--user={user}"]

    def _install(self) -> None:
        more = ("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
        command = [find("mariadb-install-db"), *self._common(), *more, "--innodb-log-file-size=8M"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": _PATH})
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {done.stdout[-1000:]}{done.stderr[-1000:]}")

    def _answers(self) -> bool:
        try:
            return bool(self.run("SELECT 1"))
        except pymysql.OperationalError:
            return False
