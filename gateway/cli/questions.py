"""Reads the known questions of forms from the store, if there is one already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from gateway.config.loaded import Routes
from gateway.store.engine.connect import open_database
from gateway.store.engine.schema_version import works_on


@contextmanager
def questions_store(loaded: Routes) -> Iterator[Connection | None]:
    """Open the store of loaded routes for reading; None where there is none yet, or one of another version.

    Raises:
        StoreError: it cannot be opened; the text says why.
        SQLAlchemyError: it cannot be read; or the driver's own error.
    """
    database = open_database(loaded.store)
    try:
        if not database.exists():
            yield None
            return
        with database.read() as connection:
            yield connection if works_on(connection) else None
    finally:
        database.close()
