"""The two stores of the conservation test: an SQLite file on a disk that can be filled, or a PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.crash.plan import Kind
from tests.support.postgresql import Server

DISK_SIZE = "64m"
_EVERYWHERE = frozenset(Kind) - {Kind.DISK_FULL, Kind.DATABASE_RESTART, Kind.DATABASE_SILENT, Kind.CLOCK_LEAP}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one seed keeps its store and its effects."""

    store: str
    """URL of the gateway's store."""
    effects: str
    """URL of the destination's database."""
    disk: Path | None = None
    """The file system that holds the store, if it is one of its own that may be filled."""


class Backend(Protocol):
    """A kind of store: makes places, and says which faults it can stage."""

    name: str
    kinds: Collection[Kind]

    def place(self, folder: Path, name: str) -> Any:
        """Return a context manager of a fresh `Place`."""

    def restart(self) -> None:
        """Restart the server as after a crash."""

    def silent(self) -> AbstractContextManager[None]:
        """Have the server stand still meanwhile."""


class Sqlite:
    """An SQLite file for each seed, on a small file system of its own where one may be mounted."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.kinds = _EVERYWHERE | {Kind.CLOCK_LEAP}  # a server has a clock of its own
        with suppress(OSError, subprocess.CalledProcessError), _mounted(folder / "try"):
            self.kinds |= {Kind.DISK_FULL}

    @contextmanager
    def place(self, folder: Path, name: str) -> Iterator[Place]:
        """Make a place in a folder."""
        disk = folder / "disk"
        effects = f"sqlite:///{folder}/effects.db"
        if Kind.DISK_FULL not in self.kinds:
            yield Place(f"sqlite:///{folder}/gateway.db", effects)
            return
        with _mounted(disk):
            yield Place(f"sqlite:///{disk}/gateway.db", effects, disk)
            for file in disk.glob("gateway.db*"):  # whoever looks into a broken seed wants to see it
                shutil.copy(file, folder)

    def restart(self) -> None:
        """SQLite has no server."""
        raise NotImplementedError("SQLite has no server to restart")

    def silent(self) -> AbstractContextManager[None]:
        """SQLite has no server."""
        raise NotImplementedError("SQLite has no server to stand still")


class Postgresql:
    """A PostgreSQL server for all seeds, with two databases for each: the store, and the destination's tables."""

    name = "postgresql"

    def __init__(self) -> None:
        self.kinds = _EVERYWHERE | {Kind.DATABASE_RESTART, Kind.DATABASE_SILENT}
        self._server = Server(durable=True)

    @contextmanager
    def place(self, folder: Path, name: str) -> Iterator[Place]:
        """Make a place: two fresh databases."""
        made = [f"{what}_{name}" for what in ("store", "effects")]
        for one in made:
            self._server.run(f"CREATE DATABASE {one}")
        try:
            store, effects = (self._server.url.set(database=one).render_as_string() for one in made)
            yield Place(store, effects)
        finally:
            for one in made:
                self._server.run(f"DROP DATABASE {one} WITH (FORCE)")

    def restart(self) -> None:
        """Take the server down without a word to anybody, and bring it up again."""
        self._server.crash()

    def silent(self) -> AbstractContextManager[None]:
        """Stop all processes of the server, and let them go on at the end."""
        return self._server.silent()

    def end(self) -> None:
        """Stop the server for good."""
        self._server.end()


@contextmanager
def backend(name: str, folder: Path) -> Iterator[Backend]:
    """Open a kind of store by its name."""
    with ExitStack() as stack:
        if name == "sqlite":
            yield Sqlite(folder)
            return
        made = Postgresql()
        stack.callback(made.end)
        yield made


@contextmanager
def _mounted(folder: Path) -> Iterator[None]:
    """Mount a small file system; needs the rights of a superuser.

    Raises:
        OSError, CalledProcessError: that is not allowed here.
    """
    if os.geteuid() != 0:
        raise PermissionError("only root can mount a file system")
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "crash", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


def fill(disk: Path) -> Path:
    """Leave no room on a file system; returns the file to delete to make room again."""
    filler = disk / "filler"
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    os.write(descriptor, b"\0" * size)
    finally:
        os.close(descriptor)
    return filler
