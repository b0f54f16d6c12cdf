"""A copy of an SQLite store, taken while the gateway works."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from gateway.errors import StoreError
from gateway.store.engine.sqlite_file import OWN


def back_up(source: Path, target: Path) -> int:
    """Copy a store into a file that is not there yet; returns its size in bytes.

    The copy is the store of one moment, by SQLite's online backup: it holds up neither receiving nor deliveries. It is
    looked through and on disk before it gets its name.

    Raises:
        StoreError: it cannot be read or written, or the copy is damaged.
    """
    part = target.with_name(target.name + ".part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWN))
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as from_there,
            closing(sqlite3.connect(part)) as copy,
        ):
            from_there.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a -wal beside it
            damage = [row[0] for row in copy.execute("PRAGMA quick_check") if row[0] != "ok"]
        if damage:
            raise StoreError(f"the copy of {source} is damaged, and so is the store: {damage[0]}. See `store check`")
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{source} could not be copied to {target}: {error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return target.stat().st_size
