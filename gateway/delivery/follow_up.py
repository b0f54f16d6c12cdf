"""Follows up a settlement: tells the request that waits, wakes the reporter, ends a pause."""

from __future__ import annotations

from typing import Any

import structlog

from gateway.delivery.background import BackgroundTasks
from gateway.delivery.preparing.prepare import Job
from gateway.delivery.waiters import OutcomeWaiters
from gateway.jobs import Settled, Settlement
from gateway.models import DeliveryState
from gateway.pauses import Kind, Pauses
from gateway.reporting.reporter import Reporter

log = structlog.get_logger(__name__)


class FollowUp:
    """Tells whoever waits how deliveries ended or that they wait."""

    def __init__(self, *, waiters: OutcomeWaiters, reporter: Reporter, pauses: Pauses) -> None:
        self._waiters = waiters
        self._reporter = reporter
        self._pauses = pauses
        self.background = BackgroundTasks()

    def settled(self, job: Job, settlement: Settlement, settled: Settled, *, in_line: bool = False) -> None:
        """Follow up a settlement that the store accepted or refused.

        ``in_line``: it waits for its turn alone, as thousands may.
        """
        if not settled.accepted:
            _log_of(job).warning("a settlement came too late: the lease was lost, and the delivery is due again")
            return
        if settlement.state is DeliveryState.DEAD:
            _log_of(job).warning("delivery is dead", reason=settlement.reason)
        elif settlement.state is DeliveryState.PENDING:
            log_ = _log_of(job)
            (log_.debug if in_line else log_.info)("delivery waits", reason=settlement.reason)
        elif self._pauses.probing(Kind.DESTINATION, job.spec.destination):
            self.background.spawn(self._pauses.worked(Kind.DESTINATION, job.spec.destination))
        if settled.outcome is not None:
            self._waiters.tell(job.due.notification_id, settled.outcome)
            self._reporter.wake()
        elif settlement.state is DeliveryState.PENDING and job.due.required:
            self.postponed(job.due.notification_id, settlement.due_at)

    def postponed(self, notification_id: int, due_at: int) -> None:
        """Tell that a delivery that counts is tried again only then, in the store's time."""
        self._waiters.postponed(notification_id, due_at)


def _log_of(job: Job) -> Any:
    about = job.kept.notification
    return log.bind(notification=about.key, record=about.record_key, route=job.route.name, delivery=job.spec.name)
