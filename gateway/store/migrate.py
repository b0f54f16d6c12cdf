"""Bringing a store's schema forward, safe when several processes start at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from gateway.errors import StoreTooNew
from gateway.store.engine import Database

_FOLDER = Path(__file__).parent / "migrations"


def newest() -> str:
    """Return the revision that this program works with."""
    head = ScriptDirectory(str(_FOLDER)).get_current_head()
    assert head is not None
    return head


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a store; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(database: Database) -> tuple[str | None, str]:
    """Bring the store to this program's revision; returns the revision before and after.

    The whole migration is one write transaction, and the revision is read inside it: a second process that starts at
    the same time waits, looks again and finds nothing left to do.

    Raises:
        StoreTooNew: a newer gateway has written this store.
    """
    with database.write() as connection:
        database.lock_schema(connection)
        before = revision_of(connection)
        known = {script.revision for script in ScriptDirectory(str(_FOLDER)).walk_revisions()}
        if before is not None and before not in known:
            raise StoreTooNew(
                f"the store {database.name} has schema {before}, which this gateway (schema {newest()}) does not know. "
                "Start the newer gateway that wrote it, or restore a backup from before the upgrade"
            )
        if before != newest():
            config = Config()
            config.set_main_option("script_location", str(_FOLDER))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before, newest()
