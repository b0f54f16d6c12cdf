"""Which schema a store has, and whether this program may work on it; asked by every command, so without Alembic.

A store says by its compatibility mark which is the oldest revision whose program may still work on it. A migration that
only adds what older programs need not know leaves the mark alone: then gateways of both versions work side by side
while they are upgraded one after the other. One that older programs would be wrong about raises the mark to itself.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from gateway.store.tables import compatibility

FOLDER = Path(__file__).parent / "migrations"
"""Of the migrations; the file of each is called by its revision, a number that rises: ``0001_what_it_does.py``."""

_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Where Alembic notes the revision."""


def newest() -> str:
    """Return the revision that this program works with."""
    return max(known())


def known() -> set[str]:
    """Return the revisions that this program knows."""
    return {file.name.partition("_")[0] for file in (FOLDER / "versions").glob("[0-9]*_*.py")}


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a store; None for an empty one."""
    if not inspect(connection).has_table(_version.name):
        return None
    found: str | None = connection.execute(select(_version.c.version_num)).scalar()
    return found


def works_on(connection: Connection) -> bool:
    """Tell whether this program may work on a store as it is: of its own revision, or of a newer one that allows it."""
    revision, ours = revision_of(connection), known()
    if revision is None or revision in ours:
        return revision == newest()
    return inspect(connection).has_table(compatibility.name) and _mark(connection) in ours


def _mark(connection: Connection) -> str | None:
    """Return the oldest revision whose program may work on a store."""
    found: str | None = connection.execute(select(compatibility.c.oldest)).scalar()
    return found
