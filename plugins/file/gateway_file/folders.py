"""Folders below the root: made where they are missing, durable, and never outside."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from gateway.api import Misconfigured, Rejected

_NO_SYNC = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})
"""Some network file systems know no syncing of folders."""
_PIECE = 256 * 1024


def folder_for(root: Path, relative: str) -> Path:
    """Return the folder that the file is to stand in, made if it is missing.

    Raises:
        Misconfigured: the root is not there. It is never made: it may be a disk that is not mounted.
        Rejected: a link on the way leads out of the root.
        OSError: a folder could not be made.
    """
    if not root.is_dir():
        raise Misconfigured(f"the root {root} is not there, or is no folder. Make it, or mount what belongs there")
    folder = root
    for part in relative.split("/")[:-1]:
        parent, folder = folder, folder / part
        try:
            folder.mkdir()
        except FileExistsError:
            stay_inside(root, folder)
        else:
            sync_folder(parent)
    return folder


def stay_inside(root: Path, path: Path) -> None:
    """Refuse a link that leads out of the root.

    Raises:
        Rejected: it does.
    """
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        raise Rejected(f"{path} is a link that leads out of the root {root}")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def copy_all(source: Path, descriptor: int) -> None:
    """Write what is in another file, piece by piece, and make it durable."""
    with source.open("rb") as file:
        while piece := file.read(_PIECE):
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def write_all(descriptor: int, data: bytes, *, at: int = 0) -> None:
    """Write all of the data at an offset, and make it durable."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written
    os.fsync(descriptor)
