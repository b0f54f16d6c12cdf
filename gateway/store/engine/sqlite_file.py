"""The file of an SQLite store: whether it can be used, whose it is, and the lock that one `gateway serve` has on it."""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
from pathlib import Path

import structlog

from gateway.errors import StoreError, StoreInUse

log = structlog.get_logger(__name__)

OWN = 0o600
"""Mode of the file, of what SQLite puts beside it, of its lock and its copies: nobody else reads what was received."""


def user() -> str:
    """Return who this process is, for messages."""
    number = os.geteuid()
    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"the user {number}"


def refuse_unusable(path: Path, *, write: bool = True) -> None:
    """Refuse a store that cannot be opened there; one that is not there yet can be made.

    Reading needs to write too: beside the file SQLite keeps its log and what its readers share.

    Raises:
        StoreError: the text says what is in the way, for whom, and what to do.
    """
    folder = path.resolve().parent  # beside the file that the name leads to SQLite keeps its log
    place = "or name another place in [gateway] store"
    try:
        mode = folder.stat().st_mode
        there = path.exists()
    except FileNotFoundError:
        make = f"Make it, such as by `install -d -m 700 -o {_name()} {folder}`, {place}"
        raise StoreError(f"the folder {folder} of the store {path} does not exist. {make}") from None
    except OSError as error:
        why = error.strerror or error
        raise StoreError(f"{user()} cannot look at the store {path}: {why}. {_let_in(folder)}, {place}") from None
    if not stat.S_ISDIR(mode):
        raise StoreError(f"{folder}, the folder of the store {path}, is no folder. Mend [gateway] store")
    if there and not path.is_file():
        raise StoreError(f"the store {path} is no file. Mend [gateway] store")
    if there and not os.access(path, os.R_OK | (os.W_OK if write else 0), effective_ids=_EFFECTIVE):
        what = "read and write" if write else "read"
        raise StoreError(f"{user()} may not {what} the store {path}. Make it the owner: `chown {_name()} {path}*`")
    if not os.access(folder, os.R_OK | os.X_OK | os.W_OK, effective_ids=_EFFECTIVE):
        raise StoreError(
            f"{user()} may not write in the folder {folder} of the store {path}. {_let_in(folder)}, {place}"
        )


_EFFECTIVE = os.access in os.supports_effective_ids


def _name() -> str:
    return user().removeprefix("the user ")


def _let_in(folder: Path) -> str:
    return f"Make it the owner of that folder (`chown {_name()} {folder}`; under systemd see ReadWritePaths)"


def lock_of(path: Path) -> Path:
    """Return the file that tells which `gateway serve` holds the store: beside the file that its name leads to."""
    real = path.resolve()
    return real.with_name(real.name + ".lock")


class FileLock:
    """What one `gateway serve` has of a store: the lock of its file, by whatever name, and of the file beside it.

    The first one keeps others away that come by a symbolic or a hard link. Both end with the process, however it ends.
    """

    def __init__(self, path: Path) -> None:
        """Take it, making the file if it is not there.

        Raises:
            StoreInUse: another one has it.
            StoreError: the file cannot be opened.
        """
        if (
            holder := holder_of(path)
        ) is not None:  # seen before it is opened: closing it again would end SQLite's locks
            raise _in_use(path, holder)
        try:
            self._beside = _open_own(lock_of(path))
            try:
                self._file = _open_own(path.resolve())
            except BaseException:
                os.close(self._beside)
                raise
        except OSError as error:
            why = f"{error.filename}: {error.strerror}"
            raise StoreError(f"{user()} cannot open the store {path}: {why}. {_let_in(path.parent)}") from None
        if not (_locks(self._beside) and _locks(self._file)):
            holder = holder_of(path)
            self.release()
            raise _in_use(path, holder)
        os.ftruncate(self._beside, 0)
        os.pwrite(self._beside, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let go. Closing the file ends SQLite's own locks of this process: its connections must be closed before."""
        os.close(self._file)
        os.close(self._beside)


def _locks(descriptor: int) -> bool:
    """Lock an open file; False: another one has it locked. A file system without locks has one `gateway serve`."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        log.warning("the store's file system has no locks: see that no other `gateway serve` uses it", error=str(error))
    return True


def _in_use(path: Path, holder: int | None) -> StoreInUse:
    return StoreInUse(
        f"the store {path} is in use by another `gateway serve` (process {holder or 'unknown'}). "
        "Stop that one first, or give this one a store of its own"
    )


def holder_of(path: Path) -> int | None:
    """Return the number of the process that holds a store; None: nobody does, or it cannot be told."""
    return _holder_of_file(path) or _holder_beside(path)


def _holder_of_file(path: Path) -> int | None:
    """Look the lock of the file up in the kernel's list."""
    try:
        found = path.stat()
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(found.st_ino):
            return int(words[4]) if int(words[4]) > 0 else None
    return None


def _holder_beside(path: Path) -> int | None:
    try:
        with lock_of(path).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return int(file.read().strip() or 0) or None
    except (FileNotFoundError, ValueError):
        return None
    return None


def make_own(path: Path) -> None:
    """Make a file that is not there, which nobody else may read, whatever the umask."""
    if not path.exists():
        os.close(_open_own(path.resolve()))


def _open_own(path: Path) -> int:
    """Open a file, made if it is not there, which nobody else may read, whatever the umask."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, OWN)
    try:
        keep_to_owner(path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def keep_to_owner(path: Path) -> None:
    """Take from everybody else what they may do with a file; one that is another user's stays as it is."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode != OWN:
            path.chmod(OWN)
            if mode & ~OWN & 0o077:
                log.info("a file of the store could be read by others; now only by its owner", file=str(path))
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("who may read a file of the store could not be changed", file=str(path), error=error.strerror)
