"""Places of those that wait for their calls to doForms: few enough to be held in memory, and in nobody's way."""

from __future__ import annotations

import asyncio
from collections import deque


class Places:
    """The places in one line; who finds none soon looks again later, and so do all that come after it.

    A line that is full for a moment is waited for: who goes has to be claimed and put off anew. Once somebody waited in
    vain nobody does, until half of the places are free: whoever waits keeps others from the destination meanwhile.
    """

    def __init__(self) -> None:
        self._taken = 0
        self._crowded = False
        self._waiting: deque[asyncio.Future[None]] = deque()

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
