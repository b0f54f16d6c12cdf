"""Puts a process together by its role, and starts and stops its parts in the right order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.alarms.monitor import AlarmMonitor
from gateway.attachments.fetcher import AttachmentFetcher
from gateway.calls.client import AccountClient
from gateway.calls.gate import Gate
from gateway.calls.outage import OutageDetector
from gateway.config.loaded import DestinationEntry
from gateway.delivery.attempts.sender import Sender
from gateway.delivery.availability import DestinationResults
from gateway.delivery.background import finish
from gateway.delivery.backpressure import Backpressure
from gateway.delivery.claims import DeliveryClaims
from gateway.delivery.deaths import Deaths
from gateway.delivery.flow import FlowControl
from gateway.delivery.follow_up import FollowUp
from gateway.delivery.ledger import Ledger
from gateway.delivery.orphans import Orphans
from gateway.delivery.pipeline import Pipeline
from gateway.delivery.pool import PipelinePool
from gateway.delivery.preparing.inputs import InputFetcher
from gateway.delivery.preparing.prepare import Job
from gateway.delivery.preparing.renderer import Renderer
from gateway.delivery.unsent import UnsentDeliveries
from gateway.delivery.waiters import OutcomeWaiters
from gateway.delivery.worker import Worker
from gateway.drift.known_questions import KnownQuestions
from gateway.drift.tracker import Drift
from gateway.intake.admission import Admission
from gateway.intake.deliverer import Deliverer
from gateway.intake.plan import Planner
from gateway.jobs import Settled, Settlement
from gateway.log import Mask
from gateway.maintenance.clock import ClockWatch
from gateway.maintenance.retention import Retention
from gateway.models import AlarmKind
from gateway.pauses import Pauses
from gateway.poller import Poller
from gateway.reconcile.backfill import Backfill
from gateway.reconcile.rounds import Reconciler
from gateway.records.fetcher import RecordFetcher
from gateway.records.unreadable import Unreadable
from gateway.reporting.reporter import Reporter
from gateway.routing.active import ActiveRoutes
from gateway.store.store import Store
from gateway.store.work import leaps
from gateway.store.work.alarms import Alarm
from gateway.templates.render_pool import RenderPool
from gateway.web.answering import Answering
from gateway.web.aside import Aside
from gateway.web.body import Bodies
from gateway.web.keep import KEEP_WITHIN, Keeper
from gateway.web.protocol.strain import Strain
from gateway.web.receive import Receiver
from gateway.web.refused_requests import RefusedRequests

_NOTED_WITHIN = 2.0
"""Seconds that what attempts said of their destinations gets to be written at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What receiving and delivering have in common, and hand to each other in memory where one process does both."""

    store: Store
    active: ActiveRoutes
    calls: AccountClient
    gate: Gate
    pauses: Pauses
    backpressure: Backpressure
    waiters: OutcomeWaiters
    reporter: Reporter
    mask: Mask


class Services:
    """What goes on beside all else until the end."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *work: Coroutine[Any, Any, None]) -> None:
        """Begin with these."""
        self._tasks += [asyncio.create_task(one) for one in work]

    async def stop(self) -> None:
        """End all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Delivering:
    """Fetches, delivers, reports, and looks after the store and for what was missed."""

    def __init__(self, shared: Shared) -> None:
        store, active, calls, pauses = shared.store, shared.active, shared.calls, shared.pauses
        orphans = Orphans(store=store, active=active)
        self._store = store
        self._active = active
        self._pauses = pauses
        self._reporter = shared.reporter
        self._drift = Drift(store=store, active=active)
        self._fetcher = RecordFetcher(store=store, active=active, gate=shared.gate, saw=self._drift.saw)
        self._attachments = AttachmentFetcher(store=store, active=active, gate=shared.gate)
        self._retention = Retention(store=store, active=active)
        self._reconciler = Reconciler(
            store=store,
            active=active,
            backfill=Backfill(store=store, active=active, calls=calls, pauses=pauses),
            on_reports=shared.reporter.wake,
        )
        self._services, self._renewals = Services(), Services()
        self._clock = ClockWatch(store=store, active=active, on_leap=self._look_now)
        self.watch = watch_alarms(
            store=store,
            active=active,
            pauses=pauses,
            orphans=orphans,
            unreadable=self._fetcher.unreadable,
            outages=calls.outages,
        )
        self._renders = RenderPool()
        self._results = DestinationResults(pauses)
        self._ledger = Ledger(store)
        self.worker = self._worker(shared, orphans)

    def _worker(self, shared: Shared, orphans: Orphans) -> Worker:
        ledger, poller = self._ledger, Poller(shared.store.now)
        flow = FlowControl(poller, shared.backpressure)
        renderer = Renderer(shared.active, self._renders)

        def make(entry: DestinationEntry) -> Pipeline:
            sender = Sender(entry, mask=shared.mask, receipts=self._drift, results=self._results)
            return Pipeline(entry, ledger=ledger, renderer=renderer, sender=sender, flow=flow, on_settled=self._settled)

        deaths = Deaths(ledger=ledger, fetcher=self._fetcher)
        pool = PipelinePool(make=make, pauses=shared.pauses, mask=shared.mask, flow=flow)
        return Worker(
            shared.store,
            inputs=InputFetcher(
                store=shared.store,
                active=shared.active,
                fetcher=self._fetcher,
                attachments=self._attachments,
                questions=KnownQuestions(store=shared.store, met=self._drift.met),
                renders=self._renders,
            ),
            pool=pool,
            claims=DeliveryClaims(
                ledger=ledger, pool=pool, deaths=deaths, flow=flow, poller=poller, pauses=shared.pauses
            ),
            unsent=UnsentDeliveries(ledger=ledger, deaths=deaths, orphans=orphans),
            follow_up=FollowUp(waiters=shared.waiters, reporter=shared.reporter, pauses=shared.pauses),
        )

    def _settled(self, job: Job, settlement: Settlement, settled: Settled) -> None:
        self.worker.settled(job, settlement, settled)

    async def start(self) -> None:
        """Begin to work."""
        await self._clock.start()
        await self._pauses.mended()
        await self._pauses.is_back()  # what a process noted that has ended since
        self._renewals.start(self._ledger.leases.keep_renewed(), self._fetcher.keep_turns())
        self.worker.start(self._active.routes.destinations)
        self._reporter.start()
        self._services.start(
            self._store.keep_listening(self.worker.wake),
            self._clock.keep_watching(),
            self.watch.keep_watching(),
            self._drift.keep_writing(),
            self._retention.keep_pruning(),
            self._reconciler.keep_reconciling(),
            self._reconciler.keep_following(),
        )

    def load(self) -> None:
        """Take over the routes in force."""
        self.worker.load(self._active.routes.destinations)

    def _look_now(self) -> None:
        self.worker.wake()
        self._reporter.wake()

    def begin_to_stop(self) -> None:
        """Start nothing more."""
        self._reporter.begin_to_stop()
        self.worker.begin_to_stop()

    async def stop(self, until: float) -> None:
        """Let what is being sent end until then, by `time.monotonic`."""
        await self._services.stop()
        await asyncio.gather(self.worker.stop(until), self._reporter.stop(until))
        self._renders.close()
        await finish(self._results.background, within=_NOTED_WITHIN)
        await self._renewals.stop()
        await self._attachments.stop()
        await self._fetcher.stop()


class Receiving:
    """Takes notifications while there is room for them."""

    def __init__(self, shared: Shared, work: Deliverer) -> None:
        store, active = shared.store, shared.active
        self._admission = Admission(store=store, active=active)
        self._bodies = Bodies(self._admission)
        self._services = Services()
        self.receiver = Receiver(
            active=active,
            bodies=self._bodies,
            keeper=Keeper(
                store=store,
                planner=Planner(active=active, worker=work, pauses=shared.pauses),
                admission=self._admission,
                backpressure=shared.backpressure,
                worker=work,
            ),
            answering=Answering(store=store, waiters=shared.waiters, reporter=shared.reporter),
            aside=Aside(store=store, admission=self._admission, mask=shared.mask, within=KEEP_WITHIN),
            refused=RefusedRequests(store),
        )

    def full(self) -> str | None:
        """Tell why there is no room for new notifications, if that is so."""
        return self._admission.full() or self._bodies.stands()

    @property
    def strains(self) -> tuple[Strain, ...]:
        """What senders can strain."""
        return (self._bodies.stalled,)

    async def start(self) -> None:
        """See what room there is, and go on looking."""
        await self._admission.look()
        self._services.start(self._admission.keep_looking())

    async def stop(self) -> None:
        """Wait for the marks of answers that were written; the server has ended, and so has the work."""
        await self._services.stop()
        await self.receiver.finish()


def watch_alarms(
    *,
    store: Store,
    active: ActiveRoutes,
    pauses: Pauses,
    orphans: Orphans,
    unreadable: Unreadable,
    outages: OutageDetector,
) -> AlarmMonitor:
    """Return the watch over alarms, with all who know when a cause has ended."""

    async def end_pauses(_: bool) -> None:
        await pauses.end_what_is_over()

    async def look_for_unloaded(thoroughly: bool) -> None:
        await orphans.look(thoroughly=thoroughly)

    async def is_steady(_: Alarm) -> bool:
        return await store.read(leaps.unsteady_for) <= 0

    async def is_gone(alarm: Alarm) -> bool:
        return active.webservice(alarm.subject) is None  # nobody calls doForms in its name, which could show the end

    async def is_readable(alarm: Alarm) -> bool:
        return await is_gone(alarm) or unreadable.has_ended(alarm)

    async def answers(alarm: Alarm) -> bool:
        return outages.has_ended(alarm) or alarm.subject not in active.routes.accounts

    return AlarmMonitor(
        store=store,
        looks=(end_pauses, look_for_unloaded),
        ends={
            AlarmKind.CLOCK: is_steady,
            AlarmKind.RECORDS_NOT_READABLE: is_readable,
            AlarmKind.NOT_RECONCILED: is_gone,
            AlarmKind.LISTING_TOO_SHORT: is_gone,
            AlarmKind.DOFORMS_SILENT: answers,
            AlarmKind.ACCOUNT_WAITS: answers,
        },
    )
