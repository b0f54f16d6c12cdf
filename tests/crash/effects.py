"""The tables that deliveries are written to, and the rows found in them at the end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import BigInteger, Column, Engine, Integer, MetaData, Table, Text, create_engine, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

metadata = MetaData()


def _table(name: str, *columns: Column[object]) -> Table:
    own = (Column("record", Text), Column("notification", Text), Column("seq", Integer))
    return Table(name, metadata, *columns, *own)


def _number() -> Column[int]:
    return Column("id", Integer, primary_key=True, autoincrement=True)


entries = _table("entries", _number(), Column("delivery_key", Text, unique=True))
plain = _table("plain", _number())
state = Table(
    "state",
    metadata,
    Column("record", Text, primary_key=True),
    Column("number", BigInteger),
    Column("notification", Text),
    Column("seq", Integer),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row that a delivery wrote."""

    record: str
    notification: str
    seq: int
    key: str | None = None
    """The delivery key, where there is a column for it."""
    number: int | None = None
    """The lane number, where there is a column for it."""


class Warehouse:
    """The database of the destination ``table``."""

    def __init__(self, url: str) -> None:
        self._engine: Engine = create_engine(url, poolclass=NullPool)  # the server may be restarted
        metadata.create_all(self._engine)
        if self._engine.dialect.name == "sqlite":
            with self._engine.connect() as connection:
                connection.execute(text("PRAGMA journal_mode = WAL"))

    async def lock(self, seconds: float) -> None:
        """Keep everybody from writing for a while."""
        with suppress(DBAPIError):  # a server that is restarted forgets its locks
            await asyncio.to_thread(self._lock, seconds)

    def _lock(self, seconds: float) -> None:
        if self._engine.dialect.name == "sqlite":
            held = "UPDATE entries SET id = id WHERE id < 0"
        else:
            held = "LOCK TABLE entries, plain, state IN EXCLUSIVE MODE"
        with self._engine.connect() as connection:
            connection.execute(text(held))
            time.sleep(seconds)

    def rows(self, table: Table) -> Sequence[Row]:
        """Return the rows of a table, in the order in which they were inserted."""
        order = table.c.id if "id" in table.c else table.c.record
        with self._engine.connect() as connection:
            return [
                Row(
                    row.record,
                    row.notification,
                    row.seq,
                    key=row.delivery_key if "delivery_key" in table.c else None,
                    number=row.number if "number" in table.c else None,
                )
                for row in connection.execute(select(table).order_by(order))
            ]

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def lines(file: Path) -> Sequence[Row]:
    """Return the lines of a jsonl file."""
    if not file.exists():
        return []
    found = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [Row(one["record"], one["notification"], one["seq"], key=one["delivery_key"]) for one in found]
