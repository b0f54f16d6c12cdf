"""From the store's URL to its database."""

from __future__ import annotations

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from gateway.errors import StoreError
from gateway.store.engine.database import Database
from gateway.store.engine.sqlite import SqliteDatabase

_REMEDY = "Write sqlite:///gateway.db, or postgresql+psycopg://user@host/database"

_PATIENCE = 600.0
"""Seconds that a statement of a patient command may take."""


def is_sqlite(url: str) -> bool:
    """Tell whether a store's URL names an SQLite database."""
    return make_url(url).get_backend_name() == "sqlite"


def open_database(url: str, *, patient: bool = False) -> Database:
    """Return the database behind a URL; nothing is connected to yet.

    ``patient``: for a command whose statements may go through all that there is.

    Raises:
        StoreError: the store cannot be kept there.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # a port that is no number is a mere ValueError
        raise StoreError(f"store = {url!r} is no database URL. {_REMEDY}") from error
    if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
        return SqliteDatabase(parsed)
    if parsed.drivername != "postgresql+psycopg":
        raise StoreError(f"store = {parsed.render_as_string()!r} cannot be used. {_REMEDY}")
    try:
        from gateway.store.engine.postgresql import PostgresqlDatabase
    except ImportError as error:
        raise StoreError(
            f"store = {parsed.render_as_string()!r} needs the driver psycopg, which cannot be imported ({error}). "
            "Install it: pip install 'doforms-gateway[postgresql]'"
        ) from error
    return PostgresqlDatabase(parsed, answer_within=_PATIENCE) if patient else PostgresqlDatabase(parsed)
