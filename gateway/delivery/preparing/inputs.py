"""Fetches what a delivery needs before it can be rendered: record, known questions, attachments."""

from __future__ import annotations

from gateway.attachments.fetcher import AttachmentFetcher
from gateway.delivery.preparing.offload import seen_in, will_not_be_sent
from gateway.delivery.preparing.prepare import Job
from gateway.drift.known_questions import KnownQuestions
from gateway.jobs import Due
from gateway.records.fetcher import RecordFetcher
from gateway.records.single_flight import Aside
from gateway.routing.active import ActiveRoutes
from gateway.store.store import Store
from gateway.store.work.records import KeptNotification
from gateway.templates.render_pool import RenderPool


class InputFetcher:
    """Fetches what a delivery needs; others go before it meanwhile (``aside``).

    Each function raises `Deferred` where something is not there yet, and `GivenUp` where it never will be.
    """

    def __init__(
        self,
        *,
        store: Store,
        active: ActiveRoutes,
        fetcher: RecordFetcher,
        attachments: AttachmentFetcher,
        questions: KnownQuestions,
        renders: RenderPool,
    ) -> None:
        self._store = store
        self._active = active
        self._fetcher = fetcher
        self._attachments = attachments
        self._questions = questions
        self._renders = renders

    def job_of(self, due: Due, kept: KeptNotification, *, urgent: bool = False) -> Job | None:
        """Return a delivery by the routes in force; None: they have none of that name to that destination."""
        loaded = self._active.delivery(due.route, due.name)
        if loaded is None or loaded[1].destination != due.destination:
            return None
        return Job(due=due, kept=kept, route=loaded[0], spec=loaded[1], urgent=urgent)

    def is_current(self, job: Job) -> bool:
        """Tell whether the routes in force still say the same of a delivery."""
        return self._active.delivery(job.due.route, job.due.name) == (job.route, job.spec)

    async def fetch_record(self, job: Job, aside: Aside) -> None:
        """Fetch the record, or take it from the store where it is pinned."""
        job.records = await self._fetcher.records(job.kept, urgent=job.urgent, aside=aside)

    async def fetch_rest(self, job: Job, aside: Aside) -> None:
        """See to what depends on the record: the questions of its form, and its attachments."""
        job.questions = await self._questions.of(job.spec, job.kept, job.records.record)
        if job.spec.attachments and not await self._is_skipped(job, aside):
            job.attached = await self._attachments.attached(
                job.kept, job.records.record, required=job.spec.attachments_required, aside=aside
            )
            job.records = await seen_in(job)

    async def _is_skipped(self, job: Job, aside: Aside) -> bool:
        """Tell whether nothing will be sent, so that no attachment need be downloaded."""
        webservice = self._active.webservice(job.kept.notification.webservice_id)
        timezone = self._active.routes.timezone
        return await will_not_be_sent(
            self._renders, job, webservice, timezone=timezone, aside=aside, now=self._store.now
        )
