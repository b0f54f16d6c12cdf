"""Ids given before the insert, so that many rows go to the driver at once and none has to be read back."""

from __future__ import annotations

from sqlalchemy import Connection, Table, func, select


class Ids:
    """Counts on from the highest id of each table; for the only writer that inserts, which holds the store."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def next(self, connection: Connection, table: Table, count: int) -> range:
        """Return ids for so many new rows."""
        last = self._last.get(table.name)
        if last is None:
            last = connection.execute(select(func.max(table.c.id))).scalar() or 0
        self._last[table.name] = last + count
        return range(last + 1, last + 1 + count)

    def forget(self) -> None:
        """Look again: an insert failed, perhaps because somebody else has inserted too."""
        self._last.clear()
