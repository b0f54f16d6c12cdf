"""Whole files: written aside in the same folder, made durable, then put in place in one step."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from pathlib import Path

from gateway.api import Misconfigured, Rejected, Uncertain
from gateway_file.failures import meaning
from gateway_file.folders import copy_all, folder_for, sync_folder, write_all
from gateway_file.names import numbered
from gateway_file.options import Exists

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_HIGHEST = 100_000


def write_whole(root: Path, relative: str, content: bytes | Path, exists: Exists) -> str | None:
    """Write a file with these bytes, or those of another file.

    Returns its path below the root; None if there was one already that is to be left.

    Raises:
        Rejected, Unavailable, Misconfigured: nothing was written.
        Uncertain: it was put in place, but may not survive a power cut.
    """
    aside: Path | None = None
    try:
        folder = folder_for(root, relative)
        if exists is Exists.SKIP and os.path.lexists(root / relative):
            return None
        aside = folder / f".{uuid.uuid4().hex}.part"
        _write_aside(aside, content)
        placed = _put_in_place(aside, root, relative, exists)
    except OSError as error:
        raise meaning(error, str(root / relative)) from error
    finally:
        if aside is not None:
            with contextlib.suppress(OSError):
                aside.unlink()
    try:
        sync_folder(folder)
    except OSError as error:
        raise Uncertain(f"{root / relative} was written, but its folder could not be synced: {error}") from error
    return placed


def _write_aside(aside: Path, content: bytes | Path) -> None:
    # With the mode that other programs' files get: whoever fetches the file may be another user.
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        if isinstance(content, Path):
            copy_all(content, descriptor)
        else:
            write_all(descriptor, content)
    finally:
        os.close(descriptor)


def _put_in_place(aside: Path, root: Path, relative: str, exists: Exists) -> str | None:
    if exists is Exists.REPLACE:
        aside.replace(root / relative)
        return relative
    if exists is Exists.SKIP:
        return relative if _linked(aside, root / relative) else None
    for number in range(1, _HIGHEST):
        candidate = relative if number == 1 else numbered(relative, number)
        if not os.path.lexists(root / candidate) and _linked(aside, root / candidate):
            return candidate
    raise Rejected(f"{root / relative}: there are {_HIGHEST} files of that name; move some away")


def _linked(aside: Path, target: Path) -> bool:
    """Give the file its name unless that is taken: a link never overwrites, whoever else writes at this moment."""
    try:
        os.link(aside, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise Misconfigured(
                f'the file system of {target.parent} has no hard links, which exists = "skip" and "number" need. '
                'Use exists = "replace" with the record\'s key in filename'
            ) from error
        raise
    return True
