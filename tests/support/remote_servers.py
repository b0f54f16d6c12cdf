"""Servers that files are written to: OpenSSH, FTP, and an S3 API; each can be taken down and brought up again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_connection
from typing import Any, Protocol

from tests.support.tcp import unused_port

_UP_WITHIN = 20.0
_SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
UsePAM no
Subsystem sftp internal-sftp
"""


class RemoteServer(Protocol):
    """A server with a folder; ``credentials`` are those of fsspec."""

    url: str
    credentials: dict[str, Any]

    def start(self) -> None: ...
    def drop(self) -> None:
        """End all connections, and go on."""

    def stop(self) -> None:
        """Listen no more."""

    def files(self) -> dict[str, bytes]:
        """Return what is below the root, by path."""


@dataclass
class Sftp:
    """OpenSSH with a key of its own, run by whoever runs the tests."""

    folder: Path
    port: int = field(default_factory=unused_port)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        (self.folder / "in").mkdir(parents=True)
        for name in ("host_key", "user_key"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
            subprocess.run(make, check=True)
        (self.folder / "sshd_config").write_text(_SSHD.format(port=self.port, folder=self.folder))
        self.url = f"sftp://127.0.0.1:{self.port}{self.folder}/in"
        self.credentials = {
            "username": subprocess.check_output(["id", "-un"], text=True).strip(),
            "key_filename": str(self.folder / "user_key"),
        }

    def start(self) -> None:
        program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None, "install openssh-server"
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself in before a login
        command = [program, "-D", "-f", str(self.folder / "sshd_config"), "-E", str(self.folder / "log")]
        self._process = subprocess.Popen(command, start_new_session=True)
        _until_open(self.port)

    def drop(self) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)

    def stop(self) -> None:
        assert self._process is not None
        self.drop()
        self._process.kill()
        self._process.wait()

    def files(self) -> dict[str, bytes]:
        return _below(self.folder / "in")


@dataclass
class Ftp:
    """An FTP server in a process of its own."""

    folder: Path
    port: int = field(default_factory=unused_port)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.url = f"ftp://127.0.0.1:{self.port}/"
        self.credentials = {"username": "forms", "password": "secret"}

    def start(self) -> None:
        who = ("-u", "forms", "-P", "secret", "-d", str(self.folder), "-w")
        command = [sys.executable, "-W", "ignore", "-m", "pyftpdlib", "-i", "127.0.0.1", "-p", str(self.port), *who]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        _until_open(self.port)

    def drop(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def files(self) -> dict[str, bytes]:
        return _below(self.folder)


@dataclass
class S3:
    """moto's server, with one bucket; what it keeps goes with its process."""

    port: int = field(default_factory=unused_port)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.url = "s3://forms/in"
        self.credentials = {"key": "key", "secret": "secret", "endpoint_url": f"http://127.0.0.1:{self.port}"}

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        _until_open(self.port)
        self._filesystem().mkdir("forms")

    def drop(self) -> None:
        """Do nothing: each request may have a connection of its own."""

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def files(self) -> dict[str, bytes]:
        filesystem = self._filesystem()
        return {path.removeprefix("forms/in/"): filesystem.cat_file(path) for path in filesystem.find("forms/in")}

    def _filesystem(self) -> Any:
        import s3fs

        return s3fs.S3FileSystem(**self.credentials, skip_instance_cache=True, use_listings_cache=False)


def _below(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _until_open(port: int) -> None:
    end = time.monotonic() + _UP_WITHIN
    while True:
        try:
            create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def running(server: RemoteServer) -> Iterator[RemoteServer]:
    """Run a server until the block ends."""
    server.start()
    try:
        yield server
    finally:
        server.stop()
