"""Settles deliveries that are not sent: left by a dead process, without a route, or lacking a record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.delivery.deaths import Deaths
from gateway.delivery.ledger import Ledger
from gateway.delivery.orphans import DeliveryRef, Orphans
from gateway.delivery.preparing.prepare import Job
from gateway.delivery.settle import settlement_of, unsent
from gateway.jobs import Due, Settled, Settlement
from gateway.retry import Deferred, GivenUp
from gateway.store.engine.transaction_time import SECOND

NOT_LOADED = 60.0
"""Seconds until a delivery looks again whether its route or destination is loaded."""


class UnsentDeliveries:
    """Settles them; what follows is up to whoever asks."""

    def __init__(self, *, ledger: Ledger, deaths: Deaths, orphans: Orphans) -> None:
        self._ledger = ledger
        self._deaths = deaths
        self._orphans = orphans

    async def settle_left(self, jobs: Iterable[Job]) -> Sequence[tuple[Job, Settlement, Settled]]:
        """Settle what a process that died has left, before any of it is tried again."""
        return await self._deaths.settle(list(jobs))

    async def settle(self, job: Job, why: Deferred | GivenUp) -> tuple[Settlement, Settled]:
        """Settle a delivery that lacks what it needs: it waits until then, or is dead."""
        moment = self._ledger.now()
        settlement = settlement_of(job.due, job.spec, unsent(why, moment), attempt_id=None, moment=moment, jitter=0.5)
        (settled,) = await self._ledger.settle([settlement])
        return settlement, settled

    async def wait_for_route(self, due: Due) -> int:
        """Let a delivery wait whose route or destination is not loaded; returns until when, in the store's time."""
        orphan = DeliveryRef(due.route, due.name, due.destination)
        until = self._ledger.now() + int(NOT_LOADED * SECOND)
        await self._ledger.settle([orphan.wait(due, until)])
        await self._orphans.met(orphan)
        return until
