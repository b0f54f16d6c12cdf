"""Sends deliveries to one destination, and notes what the results say of it as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from gateway.config.loaded import DestinationEntry
from gateway.delivery.attempts.attempt import attempt
from gateway.delivery.attempts.classify import Classifier
from gateway.delivery.breaker import BreakerState
from gateway.delivery.ledger import Going
from gateway.delivery.preparing.prepare import Job
from gateway.delivery.settle import Attempted, Result
from gateway.log import Mask
from gateway.models import Receipt

Ended = tuple[Job, Attempted, int | None]
"""A delivery, how its attempt ended, and the attempt's id; None: none was begun."""
_SHUT_DOWN = "the gateway was shut down while it was being sent"


class HearsDelivered(Protocol):
    """Whoever looks at what destinations took."""

    def delivered(self, job: Job, receipt: Receipt) -> None:
        """Note a receipt."""
        ...


class HearsResults(Protocol):
    """Whoever judges a destination by its attempts."""

    def note(self, entry: DestinationEntry, breaker: BreakerState, results: Sequence[Attempted]) -> None:
        """Note attempts that ended together."""
        ...


class Sender:
    """Hands deliveries to the plugin of one destination."""

    def __init__(self, entry: DestinationEntry, *, mask: Mask, receipts: HearsDelivered, results: HearsResults) -> None:
        self.entry = entry
        self._classifier = Classifier(plugin=entry.plugin, destination=entry.name, mask=mask)
        self._receipts = receipts
        self._results = results
        self._sending: set[asyncio.Future[list[Attempted]]] = set()
        self._retired = False
        self._cut_short = False

    def is_dry(self, job: Job) -> bool:
        """Tell whether a delivery is only rendered and kept."""
        return job.spec.dry_run or self.entry.dry_run

    def retire(self) -> None:
        """Let the results from here on say nothing of the destination: it may have other settings by now."""
        self._retired = True

    def cut_short(self) -> None:
        """Give up what is still being sent, because the gateway ends."""
        self._cut_short = True
        for sending in self._sending:
            sending.cancel()

    async def dry_run(self, group: Sequence[Going]) -> list[Ended]:
        """Keep a preview of each delivery in its receipt; nothing is sent."""
        instance = self.entry.instance
        ends = await asyncio.gather(*(self._classifier.dry_run(instance, ready.delivery) for _, ready, _ in group))
        return [(job, end, id_) for (job, _, id_), end in zip(group, ends, strict=True)]

    async def send(self, group: Sequence[Going], breaker: BreakerState) -> list[Ended]:
        """Send deliveries together; ``breaker`` hears how that went."""
        results = await self._attempt(group, breaker)
        for (job, _, _), result in zip(group, results, strict=True):
            if result.receipt is not None:
                self._receipts.delivered(job, result.receipt)
        return [(job, result, id_) for (job, _, id_), result in zip(group, results, strict=True)]

    async def _attempt(self, group: Sequence[Going], breaker: BreakerState) -> Sequence[Attempted]:
        deliveries = [ready.delivery for _, ready, _ in group]
        timeout = max(job.spec.timeout for job, _, _ in group)
        sending = asyncio.ensure_future(
            attempt(self.entry.instance, deliveries, timeout=timeout, classifier=self._classifier)
        )
        waiting = asyncio.shield(sending)
        self._sending.add(waiting)
        results: Sequence[Attempted]
        try:
            results = await waiting
        except asyncio.CancelledError:
            if not waiting.cancelled():
                raise
            sending.cancel()
            if self._cut_short:
                return [Attempted(result=Result.UNCERTAIN, reason=_SHUT_DOWN)] * len(group)
            results = self._classifier.cancelled(deliveries)
        finally:
            self._sending.discard(waiting)
        if not self._retired:
            self._results.note(self.entry, breaker, results)
        return results
