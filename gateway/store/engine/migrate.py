"""Bringing a store's schema forward, safe when several processes start at once."""

from __future__ import annotations

from alembic import command
from alembic.config import Config

from gateway.errors import StoreTooNew
from gateway.store.engine import schema_version
from gateway.store.engine.database import Database
from gateway.store.engine.schema_version import known, newest, revision_of, works_on


def migrate(database: Database) -> tuple[str | None, str]:
    """Bring the store to this program's revision; returns the revision before and after.

    The whole migration is one write transaction, and the revision is read inside it: a second process that starts at
    the same time waits, looks again and finds nothing left to do. A store that is newer already, and whose mark allows
    this program, stays as it is.

    Raises:
        StoreTooNew: a newer gateway has written this store, and its mark does not allow this one.
    """
    with database.read() as connection:
        if revision_of(connection) == newest():
            return newest(), newest()  # no lock is taken for what need not be done
    with database.write() as connection:
        database.lock_schema(connection)
        before = revision_of(connection)
        if before is not None and before not in known():
            if works_on(connection):
                return before, before
            raise StoreTooNew(
                f"the store {database.name} has schema {before}, on which this gateway (schema {newest()}) may not "
                "work. Start the newer gateway that wrote it, or restore a backup from before the upgrade"
            )
        if before != newest():
            config = Config()
            config.set_main_option("script_location", str(schema_version.FOLDER))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before, newest()
