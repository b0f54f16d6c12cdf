"""Claims deliveries that are due, for destinations that have capacity."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from gateway.delivery.deaths import Deaths
from gateway.delivery.flow import FlowControl
from gateway.delivery.ledger import Ledger
from gateway.delivery.pool import PipelinePool
from gateway.jobs import Due
from gateway.pauses import Pauses
from gateway.poller import POLL, Poller
from gateway.store.engine.transaction_time import SECOND
from gateway.store.work import queue
from gateway.store.work.inbox import Kept, KeptDelivery


class DeliveryClaims:
    """Claims what is due and fits, and holds it until it is settled or handed back."""

    def __init__(
        self, *, ledger: Ledger, pool: PipelinePool, deaths: Deaths, flow: FlowControl, poller: Poller, pauses: Pauses
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._deaths = deaths
        self._flow = flow
        self._poller = poller
        self._pauses = pauses
        self._refreshed_at = float("-inf")

    async def keep_looking(self, look: Callable[[], Awaitable[float]]) -> None:
        """Look for what is due until told to stop: see `Poller.keep_looking`."""
        await self._poller.keep_looking(look)

    def stop(self) -> None:
        """Claim no more."""
        self._poller.stop()

    def wake(self) -> None:
        """Look at the store now."""
        self._poller.wake()

    def due_at(self, moment: int) -> None:
        """Note that something will be due, in the store's time."""
        self._poller.due_at(moment)

    async def refresh_pauses(self) -> None:
        """See now and then what a person ordered in the store."""
        moment = time.monotonic()
        if moment - self._refreshed_at > POLL:
            await self._pauses.refresh()
            self._refreshed_at = moment

    async def claim(self) -> tuple[list[Due], float]:
        """Claim what is due and fits; returns it, and the seconds until there can be more."""
        store = self._ledger.store
        moment, capacities = store.now(), self._pool.capacities()
        self._flow.looks_for(capacities)
        upcoming = await store.read(lambda connection: queue.next_due(connection, capacities))
        wanted = {name: capacities[name] for name, at in upcoming.items() if at <= moment}
        if wanted:
            claimed = await store.claim(wanted, alone=self._deaths.may_try())
            self._flow.left_behind(*wanted)
            if claimed:
                return claimed, 0.0
        later = min((at for at in upcoming.values() if at > moment), default=moment + SECOND)
        return [], self._poller.wait_for(later)

    def hold(self, due: Due) -> None:
        """Hold a delivery that was claimed, or taken with the keeping of its notification."""
        self._deaths.starts(due)
        self._ledger.hold(due)

    async def hand_back(self, held: list[Due]) -> None:
        """Give back what was not started, to be claimed again once there is capacity."""
        for due in await self._ledger.hand_back(held):
            self._flow.left_behind(due.destination)

    def left_behind(self, destination: str) -> None:
        """Note that a delivery to this destination waits in the store because there was no capacity here."""
        self._flow.left_behind(destination)


def taken_with(kept: Kept, delivery: KeptDelivery, token: str) -> Due:
    """Return a delivery that was kept and taken as one that is due."""
    return Due(
        id=delivery.id,
        notification_id=kept.id,
        lane_id=delivery.lane_id,
        token=token,
        lease_until=kept.lease_until,
        number=delivery.number,
        route=delivery.new.route,
        name=delivery.new.name,
        destination=delivery.new.destination,
        delivery_key=delivery.new.delivery_key,
        required=delivery.new.required,
    )
