"""Whose turn it is to fetch a record where several processes share the store; one alone need not ask."""

from __future__ import annotations

import asyncio

from gateway.delivery.leases import Leases
from gateway.store import records
from gateway.store.store import Store


class FetchTurns:
    """Leases on fetches, by notification."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._leases = Leases(store, records.renew_fetches)
        self._tokens: dict[int, str] = {}

    async def keep_renewed(self) -> None:
        """Renew what is held, until cancelled."""
        await self._leases.keep_renewed()

    async def take(self, notification_id: int) -> bool:
        """Take the turn; False: it is another process', or the fetch has ended or is not due."""
        if not self._store.database.shared:
            return True
        token, lease = self._store.token(), self._store.lease
        until = await self._store.write(lambda c: records.claim_fetch(c, notification_id, token=token, lease=lease))
        if until is None:
            return False
        self._tokens[notification_id] = token
        self._leases.hold(notification_id, token, until)
        return True

    async def give_back(self, notification_id: int) -> None:
        """Give the turn to whoever asks next; nothing happens if the fetch was noted as ended or failed."""
        token = self._tokens.pop(notification_id, None)
        if token is None:
            return
        self._leases.forget(notification_id, token)
        await asyncio.shield(self._store.write(lambda c: records.release_fetch(c, notification_id, token=token)))
