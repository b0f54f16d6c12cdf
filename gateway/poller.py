"""Claiming: looking at the store for work that is due, no oftener than there can be any.

Work that was kept or settled here is passed on in memory. The store is looked at when something falls due by its time,
when a destination that left work behind in the store has room again, and once a second for what other processes did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import structlog

from gateway.store.engine.transaction_time import SECOND
from gateway.store.store import Store
from gateway.store.work import queue
from gateway.store.work.inbox import Kept, KeptDelivery
from gateway.store.work.queue import Due

log = structlog.get_logger(__name__)

POLL = 1.0
"""Seconds after which the store is looked at though nothing called for it."""


class Poller:
    """Claims what is due and fits, and sleeps until something else is due.

    ``rooms()`` returns how many deliveries each destination may take now, ``suspects()`` whether one that is suspect
    may be among them, ``start`` takes what was claimed, and ``before`` is awaited before each look.
    """

    def __init__(
        self,
        store: Store,
        *,
        rooms: Callable[[], Mapping[str, int]],
        suspects: Callable[[], bool],
        start: Callable[[list[Due]], Awaitable[None]],
        before: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._suspects = suspects
        self._start = start
        self._before = before
        self._wake = asyncio.Event()
        self._sleeps_until = 0
        self._behind: set[str] = set()
        self._stopped = False

    def stop(self) -> None:
        """Claim no more. A claim that is under way ends, so that what it claimed can be handed back."""
        self._stopped = True
        self._wake.set()

    def wake(self) -> None:
        """Look at the store now."""
        self._wake.set()

    def due_at(self, moment: int) -> None:
        """Note that something will be due, in the store's time."""
        if moment < self._sleeps_until:
            self._wake.set()

    def left_behind(self, destination: str) -> None:
        """Note that a delivery to this destination waits in the store because there was no room here."""
        self._behind.add(destination)

    def has_room(self, destination: str) -> None:
        """Note that a destination has room again."""
        if destination in self._behind:
            self._wake.set()

    async def keep_claiming(self) -> None:
        """Claim until told to stop."""
        while not self._stopped:
            self._wake.clear()
            try:
                wait = await self._claim_due()
            except Exception as error:
                log.error("the store could not be read or written; trying again", error=str(error), exc_info=error)
                wait = POLL
            if wait > 0 and not self._stopped:
                self._sleeps_until = self._store.now() + round(wait * SECOND)
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
                self._sleeps_until = 0

    async def _claim_due(self) -> float:
        """Claim what is due and fits; returns the seconds until there can be more."""
        await self._before()
        moment, rooms = self._store.now(), self._rooms()
        self._behind -= rooms.keys()  # whoever leaves something behind from here on is not overlooked
        upcoming = await self._store.read(lambda connection: queue.next_due(connection, rooms))
        wanted = {name: rooms[name] for name, at in upcoming.items() if at <= moment}
        if wanted:
            claimed = await self._store.claim(wanted, alone=self._suspects())
            self._behind |= wanted.keys()
            await self._start(claimed)
            if claimed:
                return 0.0
        later = min((at for at in upcoming.values() if at > moment), default=moment + SECOND)
        return max(0.001, min(POLL, (later - moment) / SECOND))


def taken_with(kept: Kept, delivery: KeptDelivery, token: str) -> Due:
    """Return a delivery that was kept and taken as one that is due."""
    return Due(
        id=delivery.id,
        notification_id=kept.id,
        lane_id=delivery.lane_id,
        token=token,
        lease_until=kept.lease_until,
        number=delivery.number,
        route=delivery.new.route,
        name=delivery.new.name,
        destination=delivery.new.destination,
        delivery_key=delivery.new.delivery_key,
        required=delivery.new.required,
    )
