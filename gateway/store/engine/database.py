"""The database behind the store: what the rest of the gateway asks of it, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import Enum
from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.store.engine.ids import Ids
from gateway.store.engine.transaction_time import Reading


class ErrorKind(Enum):
    """What an error says about the transaction that it ended."""

    FAILED = "failed"
    """It was refused, and would be again: something in it is wrong, or the database cannot go on."""
    CROSSED = "crossed"
    """It met another one half-way (deadlock, serialization): the same again, as a whole, can work at once."""
    LOST = "lost"
    """The connection is gone. If it went while committing, nobody knows how the transaction ended."""


class Database(Protocol):
    """A database that keeps a store: transactions that say whether they write, and how it differs from others."""

    name: str
    """How messages call it; without a password."""
    shared: bool
    """Whether several processes work on it at once: then leases lapse by themselves, at start too."""

    stalls: list[str]
    """Why connections were given up, until somebody takes it over."""

    @property
    def ids(self) -> Ids:
        """Where new rows get their ids from."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """Open a transaction that only reads, and sees the store as it was at its first query."""
        ...

    def write(self) -> AbstractContextManager[Connection]:
        """Open a transaction that writes; it is on disk when the block has ended."""
        ...

    def now(self) -> int:
        """Return the store's time as far as this process knows it: to wait by, not to decide by (`ask`)."""
        ...

    def reading(self) -> Reading:
        """Return what the store's clock showed when it was last asked."""
        ...

    def exists(self) -> bool:
        """Tell whether there is a database at all; it may be empty.

        Raises:
            StoreError: it cannot be looked at or written, or could not be made there.
        """
        ...

    def prepare(self) -> None:
        """Make what a new database needs before it is connected to; raises StoreError if it cannot be there."""
        ...

    def free(self) -> int | None:
        """Tell how many bytes may still be written; None: only the database itself could know."""
        ...

    def hold(self) -> None:
        """Prepare it for a `gateway serve`; raises StoreInUse if another has it, StoreError if it cannot serve."""
        ...

    def lock_schema(self, connection: Connection) -> None:
        """Wait until nobody else migrates; the lock ends with the transaction."""
        ...

    def fate(self, error: BaseException) -> ErrorKind:
        """Tell what an error out of a transaction says about it."""
        ...

    def tell_others(self, connection: Connection) -> None:
        """Wake the other processes when this transaction commits: there is work that anybody may take."""
        ...

    async def keep_listening(self, heard: Callable[[], None]) -> None:
        """Call ``heard`` whenever another process told of work, until cancelled; returns where there is no other."""
        ...

    def close(self) -> None:
        """Close every connection and let go of what `hold` took."""
        ...


def is_of_database(error: BaseException) -> bool:
    """Tell whether an error comes from a database or its driver."""
    return isinstance(error, SQLAlchemyError) or type(error).__module__.partition(".")[0] in ("psycopg", "sqlite3")


def describe(error: BaseException) -> str:
    """Tell what the database said, without the statement and its values."""
    said = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    told = getattr(getattr(said, "diag", None), "message_primary", None)  # without the row that is in the details
    return told or str(said).strip() or type(said).__name__
