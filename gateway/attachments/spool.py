"""The spool: a folder in which attachments lie, each a file named by the store, until their notification is deleted.

Everything here that touches the disk blocks, but for what is ``async``: that runs in a thread. A file gets its name
only when it is whole and on disk. What has come so far is in a ``.part`` beside it, which whoever downloads has locked:
of several processes that share the folder one downloads an attachment at a time.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from gateway.config.loaded import Routes
from gateway.config.sizes import say_size

_PART = ".part"
_NAME = re.compile(r"[0-9a-f]{32}")
_READ = 1024 * 1024
_SHARE_OF_DISK = 2
"""So many times `min_free_disk` must stay free: below it notifications are refused."""
_LOOK_AGAIN = 16 * 1024 * 1024
"""Bytes after which the disk is looked at again."""


class Busy(Exception):
    """Another process downloads this attachment into the same folder."""


class NoRoom(Exception):
    """The disk has not enough left; the text says how much."""


class Spool:
    """The files of one folder."""

    def __init__(self, root: Path, *, least_free: int) -> None:
        self.root = root
        self.least_free = least_free
        """Bytes that must be left on the disk."""

    def path(self, name: str) -> Path:
        """Return where the file of this name is, or will be."""
        return self.root / name[:2] / name

    def holds(self, name: str, size: int | None) -> bool:
        """Tell whether a file is there, whole."""
        try:
            return self.path(name).stat().st_size == size
        except OSError:
            return False

    def begin(self, name: str, etag: str | None) -> Part:
        """Open the file that a download goes to; without the ETag of what has come before, it begins anew.

        Raises:
            Busy: another process does that at this moment.
            OSError: the folder cannot be written to.
        """
        path = self.path(name)
        _make_folder(path.parent)
        aside = path.with_name(name + _PART)
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor, aside)
            if etag is None:
                os.ftruncate(descriptor, 0)
            return Part(self, descriptor, aside, path, etag)
        except BaseException:
            os.close(descriptor)
            raise

    def share(self, name: str, other: str, size: int | None) -> bool:
        """Give a file that is there, whole, another name too; False: that cannot be done."""
        if not self.holds(name, size):
            return False
        path = self.path(other)
        try:
            _make_folder(path.parent)
            path.unlink(missing_ok=True)
            path.hardlink_to(self.path(name))
        except OSError:
            return False
        _sync_folder(path.parent)
        return True

    def obstacle(self) -> str | None:
        """Tell why nothing could be written here, as far as that shows without writing."""
        there = next(path for path in (self.root, *self.root.parents) if path.exists())
        if not there.is_dir():
            return f"{there} is no folder"
        return None if os.access(there, os.W_OK | os.X_OK) else f"{there} may not be written to"

    def check_room(self, more: int) -> None:
        """Raise NoRoom if so many bytes more would leave less than the limit."""
        free = shutil.disk_usage(self.root).free
        if self.least_free and free - more < self.least_free:
            raise NoRoom(
                f"the disk of the spool {self.root} has {say_size(free)} left, too little for {say_size(more)} more: "
                f"{say_size(self.least_free)} must stay free, so that receiving stays above min_free_disk"
            )

    def folders(self) -> list[Path]:
        """Return the folders in which files are."""
        return sorted(self.root.glob("[0-9a-f][0-9a-f]"))

    def names(self, folder: Path) -> list[str]:
        """Return the names of the files in one of them, whole or not; what else is in it is none of ours."""
        found = {one.name.removesuffix(_PART) for one in folder.iterdir()}
        return sorted(name for name in found if _NAME.fullmatch(name) and name[:2] == folder.name)

    def remove(self, names: Iterable[str]) -> int:
        """Remove files, and what has come of them; returns how many there were."""
        removed = 0
        for path in (self.path(name) for name in names):
            for one in (path, path.with_name(path.name + _PART)):
                try:
                    one.unlink()
                except FileNotFoundError:
                    continue
                removed += 1
        return removed


def spool_of(routes: Routes) -> Spool:
    """Return the spool that the routes file names; photos alone never fill the disk so far that receiving stops."""
    return Spool(routes.spool, least_free=_SHARE_OF_DISK * routes.min_free_disk)


class Part:
    """A download that is under way; the `Target` of `gateway.doforms.download`."""

    def __init__(self, spool: Spool, descriptor: int, aside: Path, path: Path, etag: str | None) -> None:
        self._spool = spool
        self._descriptor = descriptor
        self._aside = aside
        self._path = path
        self._digest = hashlib.sha256()
        self._looked_at = 0
        self.validator = etag
        self.offset = 0
        while piece := os.pread(descriptor, _READ, self.offset):
            self._digest.update(piece)
            self.offset += len(piece)

    async def expect(self, size: int | None, validator: str | None, *, afresh: bool) -> None:
        """See whether there is room; ``afresh`` drops what is there."""
        await asyncio.to_thread(self._expect, size, afresh)
        self.validator = None if validator is None or validator.startswith("W/") else validator  # RFC 9110, 13.1.5

    def _expect(self, size: int | None, afresh: bool) -> None:
        if afresh:
            os.ftruncate(self._descriptor, 0)
            self._digest, self.offset = hashlib.sha256(), 0
        self._spool.check_room(0 if size is None else size - self.offset)
        self._looked_at = self.offset

    async def write(self, piece: bytes) -> None:
        """Add the next bytes."""
        await asyncio.to_thread(self._write, piece)

    def _write(self, piece: bytes) -> None:
        if self.offset - self._looked_at > _LOOK_AGAIN:
            self._spool.check_room(0)
            self._looked_at = self.offset
        self._digest.update(piece)
        view = memoryview(piece)
        while view:
            written = os.pwrite(self._descriptor, view, self.offset)
            view = view[written:]
            self.offset += written

    async def finish(self) -> str:
        """Make it durable and give it its name; returns its sha256."""
        await asyncio.to_thread(self._finish)
        return self._digest.hexdigest()

    def _finish(self) -> None:
        os.fsync(self._descriptor)
        self._aside.replace(self._path)
        _sync_folder(self._path.parent)

    def drop(self) -> None:
        """Remove what has come: it is not wanted."""
        self._aside.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file and its lock; what has come stays."""
        os.close(self._descriptor)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, each for its owner alone."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, aside: Path) -> None:
    """Lock a file, and see that it is still the one of that name: who had it before may have finished it meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = os.fstat(descriptor).st_ino == aside.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        same = False
    if not same:
        raise Busy
