"""``gateway reload``: have the gateway on this machine load its routes file again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import typer

from gateway.cli.loading import load_routes
from gateway.cli.options import ROUTES, RoutesFile
from gateway.cli.output import fail
from gateway.config.load import store_of
from gateway.store.engine.connect import open_database
from gateway.store.engine.sqlite import SqliteDatabase
from gateway.store.engine.sqlite_file import holder_of


def reload(routes: RoutesFile = ROUTES) -> None:
    """Check the routes file, then have the `gateway serve` of this machine load it again (SIGHUP)."""
    load_routes(routes, secrets=False)
    database = open_database(store_of(routes))
    if not isinstance(database, SqliteDatabase):
        raise fail("several processes can share this store: send SIGHUP to each `gateway serve` on it")
    path = database.path
    number = holder_of(path) if database.exists() else None
    if number is None:
        raise fail(f"no `gateway serve` runs on the store {path}")
    if not _is_gateway(number):
        raise fail(
            f"process {number} holds the store {path}, but is no gateway of this machine. In a container say "
            "`docker kill -s HUP NAME`"
        )
    try:
        os.kill(number, signal.SIGHUP)
    except PermissionError:
        raise fail(
            f"process {number} is another user's: run this as that user, or `kill -HUP {number}` as root"
        ) from None
    typer.echo(f"Process {number} loads {routes} again. Its log tells what came of it; `gateway alarms` if it failed.")


def _is_gateway(number: int) -> bool:
    """Tell whether a process can be one: a number from inside a container names some other process here."""
    if not Path("/proc/self").exists():
        return True
    try:
        return b"gateway" in Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return False
