"""Calls at once over several processes: this process' share of an account's slots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import structlog

from gateway.store.engine.database import describe
from gateway.store.store import Store
from gateway.store.work import call_slots
from gateway.store.work.call_slots import Share

log = structlog.get_logger(__name__)

_EVERY = 0.25
"""Seconds between two looks at the store while calls are made: so long others may wait for their share."""
_IDLE = 1.0
"""Seconds without a call after which the slots are given back."""
_LEASE = 10.0
"""Seconds after which the slots of a killed process come back; sooner where `lease` is shorter."""
_AFTER_ERROR = 1.0
_NOTHING = Share(slots=0, fair=0, until=0.0)


class SlotStore(Protocol):
    """Where the slots come from."""

    async def balance(self, keeps: int, demand: int) -> Share:
        """Keep so many for sure, and get more if so many calls are under way and wait."""
        ...

    async def give_back(self) -> None:
        """Give all back."""
        ...


class SharedSlots:
    """Asks for slots when they are wanted, looks now and then whether others wait, gives back when it is idle.

    No call costs a statement: only its first after a rest waits for the store. ``on_more`` is called when there can be
    more; ``clock`` returns seconds that only ever rise.
    """

    def __init__(self, slot_store: SlotStore, *, clock: Callable[[], float], on_more: Callable[[], None]) -> None:
        self._slot_store = slot_store
        self._clock = clock
        self._on_more = on_more
        self._share = _NOTHING
        self._in_flight = 0
        self._waiting = 0
        self._asked = 0
        self._busy_at = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def _demand(self) -> int:
        return self._in_flight + self._waiting

    def free(self, in_flight: int, waiting: int) -> int:
        """Return how many more calls may begin."""
        self._in_flight, self._waiting = in_flight, waiting
        self._busy_at = self._clock()
        if self._demand and self._task is None and not self._closed:
            self._task = asyncio.create_task(self._keep())
        limit = self._limit()
        owed = in_flight <= limit < self._share.slots
        lacking = self._demand > self._share.slots >= self._asked  # all that was asked for was given
        if owed or lacking:
            self._wake.set()
        return max(0, limit - in_flight)

    async def close(self) -> None:
        """Give the slots back; no call begins any more."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._give_back()

    def _limit(self) -> int:
        return self._share.fair if self._clock() < self._share.until else 0

    async def _keep(self) -> None:
        """Hold slots until no call was made for a while."""
        while True:
            wait = _EVERY
            self._wake.clear()
            try:
                if self._demand or self._clock() - self._busy_at < _IDLE:
                    await self._balance()
                else:
                    await self._give_back()
                    if not self._demand:
                        self._task = None
                        return
                    wait = 0.0
            except Exception as error:
                log.warning(
                    "the slots for calls to doForms could not be shared through the store", error=describe(error)
                )
                wait = _AFTER_ERROR
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _balance(self) -> None:
        keeps = max(self._in_flight, self._limit())  # no call that begins meanwhile comes above this
        self._asked = self._demand
        self._share = await self._slot_store.balance(keeps, self._asked)
        self._on_more()

    async def _give_back(self) -> None:
        self._share = _NOTHING
        await self._slot_store.give_back()


class DatabaseSlotStore:
    """The slots of an account as the store keeps them; ``most`` can be changed by a reload."""

    def __init__(self, store: Store, account: str, most: int) -> None:
        self._store = store
        self._account = account
        self._holder = store.token()
        self.most = most

    async def balance(self, keeps: int, demand: int) -> Share:
        """Keep so many for sure, and get more if so many calls are under way and wait."""
        lease = min(_LEASE, self._store.lease)
        return await self._store.write(
            lambda c: call_slots.balance(
                c, self._account, holder=self._holder, keeps=keeps, demand=demand, most=self.most, lease=lease
            )
        )

    async def give_back(self) -> None:
        """Give all back."""
        await self._store.write(lambda c: call_slots.give_back(c, self._account, self._holder))
