"""A kind of inconsistency: how it is found, what it leads to, and how it is put right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Table, update

from gateway.store.engine.bulk_sql import AnyOf, many


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of inconsistency."""

    name: str
    means: str
    """What it leads to, for a person."""
    remedy: str
    """What `mend` does, or what a person can do."""
    find: Callable[[Connection], Sequence[tuple[int, str]]]
    """Returns the ids concerned, each with what it is called."""
    mend: Callable[[Connection, Sequence[int]], None] | None = None
    """Puts them right; None: only a person can."""


def finder(statement: Select[Any], called: str) -> Callable[[Connection], Sequence[tuple[int, str]]]:
    """Return the function that runs a query for ids and names."""

    def find(connection: Connection) -> Sequence[tuple[int, str]]:
        return [(row[0], f"{called} {row[1]}") for row in connection.execute(statement)]

    return find


def put(connection: Connection, table: Table, ids: Sequence[int], **values: Any) -> None:
    """Write these values into all rows of these ids."""
    connection.execute(update(table).where(AnyOf(table.c.id, "ids")).values(values), {"ids": many(connection, ids)})
