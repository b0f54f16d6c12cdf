"""Ids given before the insert, so that many rows go to the driver at once and none has to be read back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection, Table, func, select

from gateway.store.tables import lanes


class Ids(Protocol):
    """Gives ids to rows that are about to be inserted.

    Of two rows the one that was handed in after the other was committed has the higher id, whichever process it is in:
    what is asked for "earlier than this notification" is asked by id.
    """

    def next(self, connection: Connection, table: Table, count: int) -> Sequence[int]:
        """Return ids for so many new rows, rising."""
        ...

    def number(self, connection: Connection, moment: int) -> int:
        """Return the first number for new lanes: the time, but above all given before, whatever the clock does."""
        ...

    def forget(self) -> None:
        """Note that an insert failed, perhaps because somebody else has inserted too."""
        ...


class CountedIds:
    """Counts on from the highest id of each table; for the only writer that inserts, which holds the store."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._number: int | None = None

    def next(self, connection: Connection, table: Table, count: int) -> Sequence[int]:
        """Return ids for so many new rows."""
        last = self._last.get(table.name)
        if last is None:
            last = connection.execute(select(func.max(table.c.id))).scalar() or 0
        self._last[table.name] = last + count
        return range(last + 1, last + 1 + count)

    def number(self, connection: Connection, moment: int) -> int:
        """Return the first number for new lanes; what is in the store tells what was given before."""
        if self._number is None:
            self._number = connection.execute(select(func.max(lanes.c.last_number))).scalar() or 0
        self._number = max(self._number + 1, moment)
        return self._number

    def forget(self) -> None:
        """Look again."""
        self._last.clear()


class SequenceIds:
    """Takes ids from the sequence of each table, within the transaction that inserts and never ahead of it.

    A block taken ahead would give a late notification a lower id than an earlier one of another process.
    """

    def __init__(self) -> None:
        self._number = 0

    def next(self, connection: Connection, table: Table, count: int) -> Sequence[int]:
        """Return ids for so many new rows."""
        if count == 0:
            return ()
        cursor = connection.connection.cursor()
        cursor.execute("SELECT nextval(%s::regclass) FROM generate_series(1, %s)", (f"{table.name}_id_seq", count))
        return [id_ for (id_,) in cursor.fetchall()]

    def number(self, connection: Connection, moment: int) -> int:
        """Return the time by the database's clock; where that goes back, only this process' own numbers still rise."""
        self._number = max(self._number + 1, moment)
        return self._number

    def forget(self) -> None:
        """Do nothing: a sequence never gives a number twice."""


def ids_of(connection: Connection) -> Ids:
    """Return what gives ids in the database of a connection, for a command that inserts beside a gateway."""
    return CountedIds() if connection.dialect.name == "sqlite" else SequenceIds()
