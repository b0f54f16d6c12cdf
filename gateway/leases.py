"""Renews the leases that this process holds, and checks them directly before each send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog
from sqlalchemy import Connection

from gateway.store.store import Store

log = structlog.get_logger(__name__)

_MARGIN = 0.05
"""Seconds of a lease that must be left to send anything."""

_NOTICED_WITHIN = 0.25
"""Seconds until a shorter length is noticed, which a reload can bring."""

Renew = Callable[[Connection, Mapping[int, str], float], Mapping[int, float]]
"""Given id -> token and the length in seconds: the new ends of those that were still held, by `time.monotonic`."""


class Leases:
    """Leases of one kind (lanes, reports), by the id of what is held."""

    def __init__(self, store: Store, renew: Renew) -> None:
        self._store = store
        self._renew = renew
        self._held: dict[int, tuple[str, float]] = {}
        self._ending: set[tuple[int, str]] = set()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, id_: int, token: str, until: float) -> None:
        """Note what was claimed; ``until`` is by `time.monotonic`."""
        self._held[id_] = (token, until)

    def ends(self, id_: int, token: str) -> None:
        """Note that a settlement is on its way: from here on its verdict tells whether the lease was lost.

        A renewal can be written right behind it and learn that nothing is held any more before `forget` is called.
        """
        self._ending.add((id_, token))

    def forget(self, id_: int, token: str) -> None:
        """Note that it was settled or handed back."""
        self._ending.discard((id_, token))
        if self._held.get(id_, ("", 0.0))[0] == token:
            del self._held[id_]

    def holds(self, id_: int, token: str) -> bool:
        """Tell whether it was neither settled nor handed back, as far as this process knows."""
        return self._held.get(id_, ("", 0.0))[0] == token

    def valid(self, id_: int, token: str) -> bool:
        """Tell whether the lease still runs: to be asked directly before each send."""
        held, until = self._held.get(id_, ("", 0.0))
        return held == token and time.monotonic() < until - _MARGIN

    async def keep_renewed(self) -> None:
        """Renew all leases three times within their length, until cancelled."""
        renewed_at = time.monotonic()
        while True:
            await asyncio.sleep(min(self._store.lease / 3, _NOTICED_WITHIN))
            if time.monotonic() < renewed_at + self._store.lease / 3:
                continue
            renewed_at = time.monotonic()
            held = {id_: token for id_, (token, _) in self._held.items()}
            if not held:
                continue
            try:
                renewed = await self._store.write(lambda c: self._renew(c, held, self._store.lease))  # noqa: B023
            except Exception as error:
                log.warning("leases could not be renewed", count=len(held), error=str(error))
                continue
            self._take_over(held, renewed)

    def _take_over(self, held: Mapping[int, str], renewed: Mapping[int, float]) -> None:
        for id_, token in held.items():
            if self._held.get(id_, ("", 0.0))[0] != token:
                continue
            if id_ in renewed:
                self._held[id_] = (token, renewed[id_])
            elif (id_, token) not in self._ending:
                del self._held[id_]
                log.warning("a lease was lost: what it held is due again", id=id_)
