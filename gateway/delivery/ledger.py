"""Begins, settles and hands back deliveries in the store, each under the lease of its lane."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.delivery.preparing.prepare import Job, Prepared
from gateway.jobs import Begin, Due, Settled, Settlement
from gateway.leases import Leases
from gateway.store.store import Store
from gateway.store.work import lane_leases

Going = tuple[Job, Prepared, int]
"""A delivery whose attempt is made: it, what is sent, and the attempt's id."""


class Ledger:
    """Writes what happens to deliveries, and knows which of their leases this process holds."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.leases = Leases(store, lane_leases.renew)

    def now(self) -> int:
        """Return the store's time."""
        return self.store.now()

    def hold(self, due: Due) -> None:
        """Renew the lease of a delivery from here on."""
        self.leases.hold(due.lane_id, due.token, due.lease_until)

    def let_go(self, due: Due) -> None:
        """Renew the lease no more: the delivery was handed back, or its work broke off and is due again."""
        self.leases.forget(due.lane_id, due.token)

    async def begin(self, going: Sequence[Going]) -> list[Going]:
        """Mark attempts as begun, with what is sent; returns those that may be made: they are still held."""
        if not going:
            return []
        marks = [Begin(due=job.due, attempt_id=id_, rendered=ready.rendered) for job, ready, id_ in going]
        allowed = []
        for attempt, ok in zip(going, await self.store.begin(marks), strict=True):
            due = attempt[0].due
            if ok and self.leases.valid(due.lane_id, due.token):
                allowed.append(attempt)
            else:  # the lease was lost, or a person dropped the delivery: whoever holds the lane goes on
                self.let_go(due)
        return allowed

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[Settled]:
        """Write how deliveries stand now; they are not held any more, however that ends."""
        for settlement in settlements:
            self.leases.ends(settlement.due.lane_id, settlement.due.token)
        try:
            return await self.store.settle(settlements)
        finally:
            for settlement in settlements:
                self.let_go(settlement.due)

    async def hand_back(self, held: Iterable[Due]) -> list[Due]:
        """Give deliveries that were not started back to the store, where anybody may claim them."""
        given_back = list(held)
        for due in given_back:
            self.let_go(due)
        if given_back:
            await self.store.release(given_back)
        return given_back
