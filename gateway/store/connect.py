"""From the store's URL to its database."""

from __future__ import annotations

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from gateway.errors import StoreError
from gateway.store.engine import Database
from gateway.store.sqlite import SqliteDatabase

_REMEDY = "Write sqlite:///gateway.db, or postgresql+psycopg://user@host/database"


def open_database(url: str) -> Database:
    """Return the database behind a URL; nothing is connected to yet.

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
        from gateway.store.postgresql import PostgresqlDatabase
    except ImportError as error:
        raise StoreError(
            f"store = {parsed.render_as_string()!r} needs the driver psycopg, which cannot be imported ({error}). "
            "Install it: pip install 'doforms-gateway[postgresql]'"
        ) from error
    return PostgresqlDatabase(parsed)
