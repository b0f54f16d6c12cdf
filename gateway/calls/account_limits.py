"""The limits of an account: calls a minute, calls at once, and which call goes first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import Protocol

from gateway.calls.buckets import Bucket, TokenBucket, account_rate
from gateway.doforms.failures import Paused

_STEP = 0.05
"""Seconds between two calls while something else comes first."""
_LONG = 5.0
"""Seconds of a pause that no call waits for: what waited would keep other accounts' work from its place meanwhile."""
TOO_MANY = "doForms answered 429 to this account"
_REPORTS_SHARE = 10
"""At least every tenth call is a report while one waits."""


class Priority(IntEnum):
    """Whose call goes first."""

    IMMEDIATE_FETCH = 0
    """A request of doForms waits for it."""
    FETCH = 1
    """A delivery waits for it."""
    ATTACHMENT = 2
    """A delivery waits for it, and has its record."""
    REPORT = 3
    """doForms waits for the outcome."""
    BACKFILL = 4
    """Nobody waits."""


class Slots(Protocol):
    """How many calls may be under way at once."""

    def free(self, in_flight: int, waiting: int) -> int:
        """Return how many more may begin, of which so many are under way and so many wait; told of every change."""
        ...


class LocalSlots:
    """Slots of this process alone."""

    def __init__(self, most: int) -> None:
        self._most = most

    def free(self, in_flight: int, waiting: int) -> int:
        """Return how many more calls may begin."""
        return max(0, self._most - in_flight)


class AccountLimits:
    """One bucket and one set of slots; calls wait in order of priority, then of arrival.

    While ``steps_back()`` only a few calls begin, but for those that a request waits for: something else comes first.

    Both can be put in the place of those that are there, by a reload too: calls under way are counted here.
    """

    def __init__(
        self,
        *,
        requests_per_minute: int,
        max_in_flight: int,
        clock: Callable[[], float] = time.monotonic,
        steps_back: Callable[[], bool] = lambda: False,
    ) -> None:
        self.bucket: Bucket = TokenBucket(account_rate(requests_per_minute), clock)
        self.slots: Slots = LocalSlots(max_in_flight)
        self._clock = clock
        self._steps_back = steps_back
        self._began_at = -math.inf
        self._in_flight = 0
        self._paused_until = 0.0
        self._why = ""
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._reports: list[tuple[int, int, asyncio.Future[None]]] = []
        self._since_report = 0
        self._arrivals = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def pause(self, seconds: float, why: str) -> None:
        """Let no call begin for so long; those that wait hear of it, and ``why``, if it is long."""
        if (until := self._clock() + seconds) > self._paused_until:
            self._paused_until, self._why = until, why
        if (left := self._paused_until - self._clock()) <= _LONG:
            return
        for queue in (self._waiting, self._reports):
            for _, _, turn in queue:
                if not turn.done():
                    turn.set_exception(Paused(self._why, retry_after=left))
            queue.clear()

    @asynccontextmanager
    async def slot(self, priority: Priority) -> AsyncIterator[None]:
        """Wait for the turn of a call, and hold its slot while it is made; raises Paused for a wait that is long."""
        if (left := self._paused_until - self._clock()) > _LONG:
            raise Paused(self._why, retry_after=left)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._reports if priority is Priority.REPORT else self._waiting
        heapq.heappush(queue, (priority, next(self._arrivals), turn))
        self.more()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._give_back()
            raise
        try:
            yield
        finally:
            self._give_back()

    def _give_back(self) -> None:
        self._in_flight -= 1
        self.more()

    def more(self) -> None:
        """Start as many waiting calls as there are slots and permissions; come back when there are more."""
        while True:
            waiting = len(self._waiting) + len(self._reports)
            wanted = min(self.slots.free(self._in_flight, waiting), waiting)
            if wanted <= 0:
                return
            wanted, held_back = self._held_back(wanted)
            wait = max(held_back, self._paused_until - self._clock())
            permitted = self.bucket.take(wanted, backlog=waiting) if wait <= 0 else 0
            if permitted == 0 and (stopped := self.bucket.stopped()) > _LONG:
                self.pause(stopped, TOO_MANY)
                return
            if permitted == 0:
                self._come_back(max(wait, self.bucket.wait()))
                return
            for _ in range(permitted):
                self._start_next()

    def _held_back(self, wanted: int) -> tuple[int, float]:
        """Return how many of the wanted calls may begin, and in how many seconds the first one."""
        if not self._steps_back():
            return wanted, 0.0
        urgent = bool(self._waiting) and self._waiting[0][0] == Priority.IMMEDIATE_FETCH
        return 1, 0.0 if urgent else self._began_at + _STEP - self._clock()

    def _start_next(self) -> None:
        queue = self._next_queue()
        if queue is None:  # the callers that this permission was taken for were cancelled
            return
        _, _, turn = heapq.heappop(queue)
        self._since_report = 0 if queue is self._reports else self._since_report + 1
        self._in_flight += 1
        self._began_at = self._clock()
        turn.set_result(None)

    def _next_queue(self) -> list[tuple[int, int, asyncio.Future[None]]] | None:
        for queue in (self._waiting, self._reports):
            while queue and queue[0][2].done():  # its caller was cancelled
                heapq.heappop(queue)
        if not self._reports:
            return self._waiting or None
        behind = not self._waiting or self._waiting[0][0] > Priority.REPORT
        return self._reports if behind or self._since_report >= _REPORTS_SHARE - 1 else self._waiting

    def _come_back(self, wait: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(wait, self.more)
