"""Estimates the backlog: counted in the store now and then."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from gateway.store.store import Store
from gateway.store.tables import deliveries


class Backlog:
    """An estimate of the deliveries that have not ended, good enough for a limit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.size = 0

    def add(self, count: int) -> None:
        """Note deliveries that were kept since the last count."""
        self.size += count

    async def count(self) -> None:
        """Count anew."""
        self.size = await self._store.read(_count)


def _count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(deliveries).where(deliveries.c.in_lane)).scalar_one()
