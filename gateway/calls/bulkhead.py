"""Bounds how many deliveries and reports wait in memory for calls of one account."""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

from gateway.calls.stagger import Stagger
from gateway.config.loaded import Account
from gateway.retry import Deferred
from gateway.store.store import Store

_FOR_EACH_CALL = 2
"""Places in a line: at least so many for each call that may be under way."""
_LATER = 2.0
"""Seconds until what found no place looks again."""
_MOST = 512
"""They are held in memory meanwhile, and their leases renewed."""


_APART = 0.005
"""Seconds between two that are put off because of a burst: each is a write, and receiving has the store meanwhile."""


class CallQueue(StrEnum):
    """What waits for calls of an account."""

    RECORDS = "records"
    ATTACHMENTS = "attachments"
    REPORTS = "reports"


class Bulkhead:
    """The places in one line; who finds none soon looks again later, and so do all that come after it.

    A line that is full for a moment is waited for: who goes has to be claimed and put off anew. Once somebody waited in
    vain nobody does, until half of the places are free: whoever waits keeps others from the destination meanwhile.
    """

    def __init__(self) -> None:
        self._taken = 0
        self._crowded = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> bool:
        """Whether no place is taken."""
        return self._taken == 0

    async def take(self, most: int, *, patience: float) -> bool:
        """Take one of ``most`` places, waiting for up to ``patience`` seconds; tell whether there was one."""
        if self._taken < most:
            self._taken += 1
            return True
        if self._crowded or patience <= 0:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait((turn,), timeout=patience)
        except asyncio.CancelledError:
            self._withdraw(turn, most)
            raise
        if turn.done():
            return True
        self._waiting.remove(turn)
        self._crowded = True
        return False

    def leave(self, most: int) -> None:
        """Give a place back, where there are ``most``."""
        self._taken -= 1
        if 2 * self._taken <= most:
            self._crowded = False
        while self._waiting and self._taken < most:
            self._taken += 1
            self._waiting.popleft().set_result(None)

    def _withdraw(self, turn: asyncio.Future[None], most: int) -> None:
        if turn.done():
            self.leave(most)
        else:
            self._waiting.remove(turn)


class AccountBulkheads:
    """The places of each account, in a line for each kind of call; what was backfilled has lines of its own.

    There are twice as many as can be called for until who finds none looks again: no call is lost by it, and thousands
    of them stand in nobody's way.
    """

    def __init__(self, store: Store) -> None:
        self._later = Stagger(store)
        self._put_off_at = -math.inf
        self._places: defaultdict[tuple[str, CallQueue, bool], Bulkhead] = defaultdict(Bulkhead)

    @asynccontextmanager
    async def hold(
        self, account: Account, line: CallQueue, *, backfilled: bool = False, patience: float = 0.0
    ) -> AsyncIterator[None]:
        """Hold a place.

        Raises:
            Deferred: there is none for ``patience`` seconds.
        """
        most, places = _most(account), self._places[account.name, line, backfilled]
        name = f"{line} {account.name} {backfilled}"
        if not await places.take(most, patience=patience):
            if patience > 0:
                await self._keep_apart()
            until = self._later.next(name, _LATER, account.requests_per_minute)
            raise Deferred(until, _no_place(account, line, backfilled=backfilled), in_line=True)
        try:
            yield
        finally:
            places.leave(most)
            if places.free:
                self._later.end(name)

    async def _keep_apart(self) -> None:
        """Wait until another one may be put off."""
        moment = time.monotonic()
        self._put_off_at = max(moment, self._put_off_at + _APART)
        await asyncio.sleep(self._put_off_at - moment)


def _most(account: Account) -> int:
    worth = int(2 * _LATER * account.requests_per_minute / 60)
    return max(_FOR_EACH_CALL * account.max_in_flight, min(worth, _MOST))


def _no_place(account: Account, line: CallQueue, *, backfilled: bool) -> str:
    if backfilled:
        return "backfilled: it waits behind what is live, and those that were backfilled before"
    return f"it waits for its turn: calls for {line} of the account {account.name} that came before go first"
