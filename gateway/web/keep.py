"""Keeps a notification before it is answered, and hands its deliveries to the worker."""

from __future__ import annotations

import asyncio
import time

import structlog

from gateway.delivery.backpressure import Backpressure
from gateway.errors import CannotKeep
from gateway.intake.admission import Admission
from gateway.intake.deliverer import Deliverer
from gateway.intake.plan import Planner
from gateway.models import FetchState, Notification
from gateway.store.engine.database import describe
from gateway.store.store import Store
from gateway.store.work import inbox, repeats
from gateway.store.work.inbox import Keep, Kept
from gateway.store.work.records import KeptNotification

log = structlog.get_logger(__name__)

KEEP_WITHIN = 2.8
"""Seconds after which a request whose keeping has not ended is answered 503; doForms hangs up after 3."""


class Keeper:
    """Plans notifications and keeps them while there is room."""

    def __init__(
        self, *, store: Store, planner: Planner, admission: Admission, backpressure: Backpressure, worker: Deliverer
    ) -> None:
        self._store = store
        self._planner = planner
        self._admission = admission
        self._backpressure = backpressure
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        store.on_kept_late(self._kept_late)

    def plan(self, notification: Notification) -> Keep:
        """Return what to keep of a notification: its deliveries and its mode, by the routes in force."""
        return self._planner.plan_notification(notification)

    async def keep(self, item: Keep, started: float) -> Kept:
        """Keep a notification whose request ``started`` then, by `time.monotonic`, or find that it was kept before.

        Raises:
            CannotKeep: there is no room, or the store did not commit in time; it must be sent again.
        """
        with self._backpressure:
            return await self._keep(item, started)

    def hand_over(self, kept: Kept, item: Keep, *, urgent: bool) -> None:
        """Hand the deliveries of a notification to whoever delivers; ``urgent``: its request waits for them."""

        def notification() -> KeptNotification:
            return KeptNotification(
                id=kept.id,
                notification=item.notification,
                account=item.account,
                webservice=item.webservice,
                fetch_state=FetchState.DUE if item.fetch else FetchState.NONE,
            )

        self._worker.accept(kept, notification, urgent=urgent)

    async def _keep(self, item: Keep, started: float) -> Kept:
        body_took = time.monotonic() - started
        why = self._admission.refuses()
        if why is not None:
            return await self._find_repeat(item, why)
        self._admission.backlog.add(len(item.deliveries))
        keeping = self._store.submit(item)
        out_of_time = self._loop.call_later(started + KEEP_WITHIN - time.monotonic(), keeping.cancel)
        try:
            return await keeping
        except asyncio.CancelledError:
            if not keeping.cancelled():
                raise
            # It may still be committed: then its work goes on (see `_kept_late`), and doForms' next try is a repeat.
            raise CannotKeep(_out_of_time(body_took)) from None
        except Exception as error:
            raise CannotKeep(f"the notification could not be kept: {describe(error)}") from error
        finally:
            out_of_time.cancel()

    def _kept_late(self, item: Keep, kept: Kept) -> None:
        if not kept.repeat:
            self.hand_over(kept, item, urgent=False)

    async def _find_repeat(self, item: Keep, why: str) -> Kept:
        """Find what is known of a repeat where nothing new is kept; raises CannotKeep."""
        try:
            async with asyncio.timeout(KEEP_WITHIN):
                repeat = await self._count_repeat(item)
        except TimeoutError:
            raise CannotKeep("the store did not answer in time; send it again") from None
        except Exception as error:
            raise CannotKeep(f"the store cannot be read: {describe(error)}") from error
        if repeat is None:
            raise CannotKeep(why)
        return repeat

    async def _count_repeat(self, item: Keep) -> Kept | None:
        """Count a repeat; where not even that can be written its outcome is told all the same, if it is known."""
        carries = len(item.notification.body)
        try:
            return await self._store.write(lambda connection: inbox.find_repeat(connection, item), carries=carries)
        except Exception as error:
            log.warning("a repeat could not be counted", notification=item.notification.key, error=describe(error))
            return await self._store.read(lambda connection: repeats.find_ended(connection, item.notification))


def _out_of_time(body_took: float) -> str:
    """Tell a body that came slowly from a store that commits slowly: somebody else must look at something else."""
    if body_took < KEEP_WITHIN / 2:
        return "the store did not commit in time; send it again"
    return (
        f"the body came {body_took:.1f} s after the headers, of the {KEEP_WITHIN:g} s in which doForms must have its "
        "answer: the network or a proxy is slow, not the store. It may have been kept all the same; send it again"
    )
