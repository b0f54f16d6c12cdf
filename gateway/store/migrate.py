"""Bringing a store's schema forward, safe when several processes start at once.

A store says by its compatibility mark which is the oldest revision whose program may still work on it. A migration that
only adds what older programs need not know leaves the mark alone: then gateways of both versions work side by side
while they are upgraded one after the other. One that older programs would be wrong about raises the mark to itself.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select

from gateway.errors import StoreTooNew
from gateway.store.engine import Database
from gateway.store.tables import compatibility

_FOLDER = Path(__file__).parent / "migrations"


def newest() -> str:
    """Return the revision that this program works with."""
    head = ScriptDirectory(str(_FOLDER)).get_current_head()
    assert head is not None
    return head


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a store; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def works_on(connection: Connection) -> bool:
    """Tell whether this program may work on a store as it is: of its own revision, or of a newer one that allows it."""
    revision, known = revision_of(connection), _known()
    if revision is None or revision in known:
        return revision == newest()
    return inspect(connection).has_table(compatibility.name) and _mark(connection) in known


def _mark(connection: Connection) -> str | None:
    """Return the oldest revision whose program may work on a store."""
    found: str | None = connection.execute(select(compatibility.c.oldest)).scalar()
    return found


def _known() -> set[str]:
    return {script.revision for script in ScriptDirectory(str(_FOLDER)).walk_revisions()}


def migrate(database: Database) -> tuple[str | None, str]:
    """Bring the store to this program's revision; returns the revision before and after.

    The whole migration is one write transaction, and the revision is read inside it: a second process that starts at
    the same time waits, looks again and finds nothing left to do. A store that is newer already, and whose mark allows
    this program, stays as it is.

    Raises:
        StoreTooNew: a newer gateway has written this store, and its mark does not allow this one.
    """
    with database.write() as connection:
        database.lock_schema(connection)
        before = revision_of(connection)
        if before is not None and before not in _known():
            if works_on(connection):
                return before, before
            raise StoreTooNew(
                f"the store {database.name} has schema {before}, on which this gateway (schema {newest()}) may not "
                "work. Start the newer gateway that wrote it, or restore a backup from before the upgrade"
            )
        if before != newest():
            config = Config()
            config.set_main_option("script_location", str(_FOLDER))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before, newest()
