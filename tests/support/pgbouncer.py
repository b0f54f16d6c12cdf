"""A real PgBouncer for tests, in front of a PostgreSQL server on a socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.support.tcp import unused_port

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
"""Where the program is looked for: its folder is not on the path of everybody."""
_START_WITHIN = 10.0


class PgBouncer:
    """A pooler on a port of loopback for every database of a server; ``mode`` is its ``pool_mode``."""

    def __init__(self, server: URL, mode: str, **options: str | int) -> None:
        program = shutil.which("pgbouncer", path=_PATH)
        if program is None:
            pytest.skip("pgbouncer is not installed")
        self._folder = Path(tempfile.mkdtemp(prefix="gateway-pgbouncer-"))
        self.port = unused_port()
        self._server = server
        host = server.query.get("host") or server.host
        given: dict[str, str | int] = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            "logfile": str(self._folder / "log"),
            **options,
        }
        database = f"* = host={host} user={server.username or 'postgres'}" + (
            f" port={server.port}" if server.port else ""
        )
        lines = [f"{name} = {value}" for name, value in given.items()]
        (self._folder / "pgbouncer.ini").write_text("\n".join(["[databases]", database, "[pgbouncer]", *lines, ""]))
        command = [program, str(self._folder / "pgbouncer.ini")]
        if os.getuid() == 0:  # it refuses to run as root
            owner = pwd.getpwuid(Path(str(host)).stat().st_uid)  # nobody else may enter the socket's folder
            for path in (self._folder, self._folder / "pgbouncer.ini"):
                os.chown(path, owner.pw_uid, owner.pw_gid)
            command[1:1] = [f"--user={owner.pw_name}"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()

    def url(self, database: str | None = None) -> URL:
        """Where a database of the server is, through the pooler."""
        user = self._server.username or "postgres"
        name = database or self._server.database
        return URL.create("postgresql+psycopg", user, host="127.0.0.1", port=self.port, database=name)

    def freeze(self) -> None:
        """Have it say nothing any more, while its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Stop it for good."""
        self.thaw()
        self._process.terminate()
        self._process.wait(timeout=10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_WITHIN
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = self._folder / "log"
                    said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
                    raise RuntimeError(f"pgbouncer did not start: {said}") from None
                time.sleep(0.02)
            else:
                return
