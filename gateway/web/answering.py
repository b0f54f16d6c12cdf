"""Answers with the outcome in immediate mode, and marks what was answered."""

from __future__ import annotations

import asyncio

import structlog

from gateway.delivery.background import BackgroundTasks
from gateway.delivery.waiters import OutcomeWaiters
from gateway.models import Outcome
from gateway.reporting.reporter import Reporter
from gateway.store.engine.transaction_time import micros
from gateway.store.store import Store
from gateway.store.work import inbox

log = structlog.get_logger(__name__)


class Answering:
    """Knows which requests wait for an outcome, and marks what each was answered."""

    def __init__(self, *, store: Store, waiters: OutcomeWaiters, reporter: Reporter) -> None:
        self._store = store
        self._waiters = waiters
        self._reporter = reporter
        self._background = BackgroundTasks("an answer was not marked")

    def expect(self, notification_id: int, within: float) -> asyncio.Future[Outcome | None]:
        """Return a future of the outcome; None says that it cannot come within so many seconds."""
        return self._waiters.expect(notification_id, self._store.now() + micros(within))

    def forget(self, notification_id: int) -> None:
        """Wait for an outcome no more."""
        self._waiters.forget(notification_id)

    def mark(self, notification_id: int, outcome: Outcome | None) -> None:
        """Note in the store what was answered, without keeping doForms waiting for it; None: an empty 200."""
        self._background.spawn(self._write_mark(notification_id, outcome))

    async def finish(self) -> None:
        """Wait for the marks of answers that were written."""
        await self._background.wait()

    async def _write_mark(self, notification_id: int, outcome: Outcome | None) -> None:
        try:
            await self._store.note(notification_id, lambda c: inbox.mark_answered(c, notification_id, outcome))
        except Exception as error:
            log.warning("the answer could not be marked; doForms is told again by PUT", error=str(error))
        if outcome is None:
            self._reporter.wake()
