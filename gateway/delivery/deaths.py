"""What was at work when its process died: counted, tried again by `retry`, and from the second death on by itself.

A death does not say which of all that was at work brought it about. So nothing is given up for a death that hit it in
the company of others. What was there in two deaths in a row is a suspect: it is tried apart from other suspects, under
a mark that is written with the claim. If the process dies then too, that attempt counts towards giving up. Any other
end of a try clears it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import structlog

from gateway.alarms.book import AlarmBook
from gateway.config.loaded import DeliverySpec
from gateway.delivery.ledger import Ledger
from gateway.delivery.preparing.prepare import Job
from gateway.delivery.settle import Result, may_repeat
from gateway.models import AlarmKind, DeliveryState, Order, ReasonCode
from gateway.records.fetcher import RecordFetcher
from gateway.retry import describe_deaths, next_attempt
from gateway.store.engine.transaction_time import SECOND, micros
from gateway.store.work.queue import Due, Settled, Settlement

log = structlog.get_logger(__name__)


def settle_cut_short(due: Due, spec: DeliverySpec, *, moment: int, jitter: float) -> Settlement:
    """Return what becomes of a delivery that was held by a process which died; ``moment`` is the store's time.

    One whose attempt had begun ends as an uncertain one does: in doubt where it must not be repeated, else again by
    ``retry``. One that had not begun is due at once after a first death: hundreds may have waited there.
    """
    if due.in_doubt and not may_repeat(spec):
        return _dead(due, spec, "in doubt: an earlier attempt was cut short by a crash", doubt=True)
    deaths = due.deaths + 1
    reason = describe_deaths(deaths, alone=due.alone)
    tried = due.in_doubt or due.alone
    if not tried and deaths == 1:
        return Settlement(
            due=due, attempt_id=None, state=DeliveryState.PENDING, due_at=moment, reason=reason, cut_short=True
        )
    attempts, spent = max(due.attempts, deaths), due.spent / SECOND
    following = next_attempt(spec.retry, attempts=attempts, spent=spent, jitter=jitter, counted=False)
    if due.alone and following.verdict is not None:
        return _dead(due, spec, f"{following.verdict}: {reason}", code=ReasonCode.GIVEN_UP)
    return Settlement(
        due=due,
        attempt_id=None,
        state=DeliveryState.PENDING,
        due_at=moment + micros(following.wait),
        spent=micros(following.wait),
        result=Result.UNCERTAIN.value if tried else "",
        reason=reason,
        cut_short=True,
    )


def _dead(
    due: Due, spec: DeliverySpec, reason: str, *, code: ReasonCode | None = None, doubt: bool = False
) -> Settlement:
    return Settlement(
        due=due,
        attempt_id=None,
        state=DeliveryState.DEAD,
        result=Result.UNCERTAIN.value,
        reason=reason,
        code=code,
        doubt=doubt,
        cut_short=True,
        blocks=spec.order is Order.STRICT,
    )


class Deaths:
    """Settles what a dead process has left, and knows whether a suspect is being tried here."""

    def __init__(self, *, ledger: Ledger, fetcher: RecordFetcher) -> None:
        self._ledger = ledger
        self._alarms = AlarmBook(ledger.store)
        self._fetcher = fetcher
        self._alone: Due | None = None

    def starts(self, due: Due) -> None:
        """Note that a delivery starts."""
        tried = self._alone
        if due.alone:
            self._alone = due
        elif tried is not None and (tried.lane_id, tried.token) == (due.lane_id, due.token):
            self._alone = None  # the lane has gone on behind it

    def may_try(self) -> bool:
        """Tell whether a suspect may be tried: none is."""
        return self._alone is None or not self._ledger.leases.holds(self._alone.lane_id, self._alone.token)

    async def settle(self, left: Sequence[Job]) -> Sequence[tuple[Job, Settlement, Settled]]:
        """Settle deliveries that were claimed from a process which died."""
        made = [await self._settlement(job) for job in left]
        settled = await self._ledger.store.settle(made)
        for job, settlement in zip(left, made, strict=True):
            if job.due.alone and settlement.state is DeliveryState.PENDING:
                await self._raise(job)
        return list(zip(left, made, settled, strict=True))

    async def _raise(self, job: Job) -> None:
        text = (
            f"{describe_deaths(job.due.deaths + 1, alone=True)}: notification {job.kept.notification.key} by the route "
            f"{job.due.route} to {job.due.destination}. It is tried again by `retry`, until that gives it up. Look "
            f"what ends the process at it, or drop it: `gateway deliveries drop {job.due.id}`"
        )
        await self._alarms.raise_alarm(AlarmKind.PROCESS_DIED, job.due.destination, text)

    async def _settlement(self, job: Job) -> Settlement:
        due, about = job.due, job.kept.notification
        log.warning(
            "a process died while this was at work",
            notification=about.key,
            record=about.record_key,
            route=due.route,
            delivery=due.name,
            deaths=due.deaths + 1,
            alone=due.alone,
        )
        if due.alone and job.spec.needs:
            why = describe_deaths(due.deaths + 1, alone=True)
            if (lost := await self._fetcher.cut_short(job.kept, deaths=due.deaths + 1, why=why)) is not None:
                return _dead(due, job.spec, lost, code=ReasonCode.RECORD_NOT_FETCHED)
        return settle_cut_short(due, job.spec, moment=self._ledger.now(), jitter=random.random())  # nosec B311
