"""Hands outcomes to the requests that wait for them in immediate mode."""

from __future__ import annotations

import asyncio

from gateway.models import Outcome


class OutcomeWaiters:
    """Hands the outcome of a notification to the request that waits for it."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[asyncio.Future[Outcome | None], int]] = {}

    def expect(self, notification_id: int, deadline: int) -> asyncio.Future[Outcome | None]:
        """Return a future of the outcome; None says that it cannot come before ``deadline`` (in the store's time)."""
        future: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        self._waiting[notification_id] = (future, deadline)
        return future

    def forget(self, notification_id: int) -> None:
        """Note that nobody waits any more."""
        self._waiting.pop(notification_id, None)

    def tell(self, notification_id: int, outcome: Outcome) -> None:
        """Note an outcome."""
        future, _ = self._waiting.get(notification_id, (None, 0))
        if future is not None and not future.done():
            future.set_result(outcome)

    def postponed(self, notification_id: int, due_at: int) -> None:
        """Note that a delivery that counts is tried again only at ``due_at``."""
        future, deadline = self._waiting.get(notification_id, (None, 0))
        if future is not None and not future.done() and due_at >= deadline:
            future.set_result(None)
