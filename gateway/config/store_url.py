"""URLs in the routes file: where the store is, and passwords that have no place in a URL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from gateway.config.diagnostics import show
from gateway.destinations.options import Resolved
from gateway.mistakes import Place, mistake

_PASSWORD = re.compile(
    # Web addresses end their login at the first slash; SQLAlchemy takes a password with slashes for one.
    r"https?://[^/?#\s@]*:[^/?#\s]+@|(?!https?:)[a-zA-Z][\w+.-]*://[^/:\s@]*:[^@\s]+@|[a-zA-Z][\w+.-]*://\S*[?&]password=."
)
_REMEDY = 'Write "sqlite:///gateway.db" or "postgresql+psycopg://user@host/database"'


def has_password(text: str) -> bool:
    """Tell whether a text is a URL that holds a password."""
    return _PASSWORD.match(text) is not None


def passwords_in(value: Any, path: Place = ()) -> Iterator[Place]:
    """Yield where a URL with a password stands in the clear."""
    if isinstance(value, str) and not isinstance(value, Resolved) and has_password(value):
        yield path
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from passwords_in(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from passwords_in(item, (*path, index))


def store_url(text: str, folder: Path) -> str:
    """Return the store's URL with a relative SQLite path made absolute; raises what the routes file should say."""
    if not isinstance(text, Resolved) and has_password(text):
        raise mistake(
            "there is a password inside the URL",
            'Leave it out of the URL and write store_password = "file:/run/secrets/store" below it',
        )
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # a port that is no number is a mere ValueError
        raise mistake(f"{show(text)} is no database URL", _REMEDY) from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        return _sqlite(url, folder)
    if url.drivername != "postgresql+psycopg":
        hint = 'Write "postgresql+psycopg://..."' if url.get_backend_name() == "postgresql" else _REMEDY
        raise mistake(f'the store cannot be "{url.drivername}"', hint)
    return url.render_as_string(hide_password=False)


def with_password(store: str, password: str) -> str:
    """Return a store's URL with the password put in; raises what the routes file should say."""
    url = make_url(store)
    if url.get_backend_name() == "sqlite":
        raise mistake("an SQLite file takes no password", "Leave store_password out")
    if url.username is None:
        raise mistake("the store's URL names no user", 'Write store = "postgresql+psycopg://user@host/database"')
    if url.password is not None:
        raise mistake("there is a password behind store already", "Leave it out of one of the two")
    return url.set(password=password).render_as_string(hide_password=False)


def _sqlite(url: URL, folder: Path) -> str:
    database = url.database
    if not database or database == ":memory:" or database.startswith("file:"):
        raise mistake("the store would not survive a restart", 'Name a file, such as "sqlite:///gateway.db"')
    return url.set(database=str(folder.absolute() / database)).render_as_string(hide_password=False)


def spool_folder(text: str | None, *, store: str, entry_folder: Path, file: Path) -> Path:
    """Return the folder for attachments: the one named, else one beside an SQLite store, else beside the routes file.

    Either is named like what it stands beside, so that two gateways in one folder do not share it.
    """
    if text is not None:
        return entry_folder.absolute() / text
    database = make_url(store).database if store.startswith("sqlite") else None
    beside = Path(database) if database else file.absolute()
    return beside.with_name(f"{beside.name}.spool")
