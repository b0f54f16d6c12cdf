"""Leases on fetches, where several processes share the store."""

from __future__ import annotations

import asyncio

from gateway.leases import Leases
from gateway.models import FetchState
from gateway.store.store import Store
from gateway.store.work import fetches


class FetchTurns:
    """Leases on fetches, by notification."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._leases = Leases(store, fetches.renew)
        self._tokens: dict[int, str] = {}

    async def keep_renewed(self) -> None:
        """Renew what is held, until cancelled."""
        await self._leases.keep_renewed()

    async def take(self, notification_id: int, state: FetchState = FetchState.DUE) -> bool:
        """Take the turn; False: it is another process', or the fetch has ended or is not due."""
        if not self._store.database.shared:
            return True
        token, lease = self._store.token(), self._store.lease
        until = await self._store.note(
            notification_id, lambda c: fetches.claim(c, notification_id, token=token, lease=lease, state=state)
        )
        if until is None:
            return False
        self._tokens[notification_id] = token
        self._leases.hold(notification_id, token, until)
        return True

    def ends(self, notification_id: int) -> None:
        """Note that the end of the fetch is on its way to the store, which ends the turn too."""
        if (token := self._tokens.get(notification_id)) is not None:
            self._leases.ends(notification_id, token)

    def ended(self, notification_id: int) -> None:
        """Note that the end is in the store."""
        if (token := self._tokens.pop(notification_id, None)) is not None:
            self._leases.forget(notification_id, token)

    async def give_back(self, notification_id: int) -> None:
        """Give the turn to whoever asks next, if it has not ended; nothing happens if the fetch was noted as failed."""
        token = self._tokens.pop(notification_id, None)
        if token is None:
            return
        self._leases.forget(notification_id, token)
        release = self._store.note(notification_id, lambda c: fetches.release(c, notification_id, token=token))
        await asyncio.shield(release)
