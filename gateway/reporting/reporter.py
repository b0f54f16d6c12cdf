"""Reports outcomes to doForms by PUT, until doForms has confirmed or refused."""

from __future__ import annotations

import asyncio
import math
import time
from functools import partial

import structlog
from sqlalchemy import Connection

from gateway.alarms.book import AlarmBook, AlarmStep
from gateway.calls.account_limits import Priority
from gateway.calls.bulkhead import CallQueue
from gateway.calls.client import LeaseLost, NotCalled, WebserviceClient
from gateway.calls.gate import Gate
from gateway.config.loaded import Account, Webservice
from gateway.doforms.failures import Gone, Refused, WrongApi
from gateway.errors import DoformsError
from gateway.leases import Leases
from gateway.models import AlarmKind, ReasonCode, ReportState
from gateway.pauses import Kind, Pauses
from gateway.poller import POLL, Poller
from gateway.records.verify import prove_password
from gateway.retry import Deferred, after_call, describe_deaths
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.sanitize import clean
from gateway.store.engine.transaction_time import SECOND, from_store, micros
from gateway.store.store import Store
from gateway.store.work import outbox
from gateway.store.work.outbox import Report

log = structlog.get_logger(__name__)

_REMEDY = (
    "What was delivered stays delivered; doForms alone does not know how it ended. If that is so for many, see what it "
    "answers; else clear this alarm"
)
_AT_ONCE = 50
"""Reports claimed at once."""
_FEW = 25
_BETWEEN = 0.1
"""Seconds between two claims while more than a few wait for their calls: by the dozen, not one for each that ends."""
_NOT_LOADED = 60.0


class Reporter:
    """Sends the reports that are due."""

    def __init__(self, *, store: Store, active: ActiveRoutes, gate: Gate, pauses: Pauses) -> None:
        self._store = store
        self._alarms = AlarmBook(store)
        self._active = active
        self._gate = gate
        self._pauses = pauses
        self._poller = Poller(store.now)
        self._running: dict[asyncio.Task[None], Report] = {}
        self._sending: set[int] = set()
        self._unsent: list[Report] = []
        self._leases = Leases(store, outbox.renew)
        self._claimed_at = -math.inf
        self._services: list[asyncio.Task[None]] = []
        self._stopping = False

    def start(self) -> None:
        """Begin to report."""
        self._services = [
            asyncio.create_task(self._poller.keep_looking(self._claim_due)),
            asyncio.create_task(self._leases.keep_renewed()),
        ]

    def wake(self) -> None:
        """Look at the store now."""
        self._poller.wake()

    def begin_to_stop(self) -> None:
        """Claim nothing more, and send nothing that has not been sent."""
        self._stopping = True
        self._poller.stop()
        for task, report in self._running.items():
            if report.notification_id not in self._sending:
                task.cancel()

    async def stop(self, until: float) -> None:
        """Let what is being sent end until then (by `time.monotonic`); what has no end by then is due again at once."""
        self.begin_to_stop()
        working, renewing = self._services
        await asyncio.wait([working, *self._running], timeout=max(0.0, until - time.monotonic()))
        tasks = [working, renewing, *self._running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if unsent := self._unsent:
            await self._store.write(lambda connection: outbox.release(connection, unsent))

    async def _claim_due(self) -> float:
        """Claim and start the reports that are due; returns the seconds until there can be more."""
        if len(self._running) > _FEW and (left := self._claimed_at + _BETWEEN - time.monotonic()) > 0:
            return left
        due_at = await self._store.read(outbox.next_report_due)
        moment = self._store.now()
        if due_at is None or due_at > moment:
            return self._poller.wait_for(due_at)
        paused = self._pauses.names(Kind.WEBSERVICE)
        token, lease = self._store.token(), self._store.lease
        alone = not any(report.alone for report in self._running.values())

        def claim(connection: Connection) -> list[Report]:
            if self._store.leapt():
                return []
            return outbox.claim_reports(connection, most=_AT_ONCE, token=token, lease=lease, paused=paused, alone=alone)

        claimed = await self._store.write(claim)
        self._claimed_at = time.monotonic()
        if self._stopping:
            self._unsent += claimed
            return 0.0
        for report in claimed:
            self._leases.hold(report.notification_id, report.token, report.lease_until)
            task = asyncio.create_task(self._send(report))
            self._running[task] = report
            task.add_done_callback(partial(self._ended, report))
        return 0.0 if claimed else POLL

    def _ended(self, report: Report, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._sending.discard(report.notification_id)
        self._leases.forget(report.notification_id, report.token)  # however it ended: an unsettled one lapses
        if task.cancelled():
            self._unsent.append(report)
        elif (error := task.exception()) is not None:
            log.error("a report broke off; it is due again after its lease", error=str(error), exc_info=error)
        self._poller.wake()

    async def _send(self, report: Report) -> None:
        webservice = self._caller(report)
        if report.left and webservice is not None:
            await self._cut_short(report, self._active.account(webservice))
            return
        try:
            async with self._gate.queue(report.webservice_id, CallQueue.REPORTS):
                await self._tell(report)
        except Deferred as why:
            # What a pause holds back is not claimed while it lasts, and goes at once when it ends.
            paused = why.code is ReasonCode.WEBSERVICE_WAITS and self._caller(report) is not None
            await self._put_off(report, str(why), wait=0.0 if paused else (why.until - self._store.now()) / SECOND)

    def _caller(self, report: Report) -> Webservice | None:
        """Return the web service that may be called for a report as the routes are."""
        webservice = self._active.webservice(report.webservice_id)
        return None if webservice is None or webservice.password is None else webservice

    async def _tell(self, report: Report) -> None:
        started = time.monotonic()
        try:
            async with self._gate.permit(report.webservice_id, Priority.REPORT) as client:
                await self._report(client, report)
        except LeaseLost:
            if self._stopping:
                self._unsent.append(report)
                return
            log.warning("a report was not sent: its lease was lost", notification=report.notification_key)
        except Gone as error:
            await self._settle(report, ReportState.GONE, str(error))
        except Refused as error:
            await self._settle(report, ReportState.REFUSED, str(error), alarm=True)
        except DoformsError as error:
            await self._failed(report, error, time.monotonic() - started)
        else:
            await self._settle(report, ReportState.REPORTED, None)

    async def _report(self, client: WebserviceClient, report: Report) -> None:
        try:
            await client.report(report.notification_key, report.outcome, may_send=lambda: self._may_send(report))
        except Gone as error:
            if error.is_page and (wrong := await self._wrong_api(client, error)) is not None:
                raise wrong from error
            raise

    async def _cut_short(self, report: Report, account: Account) -> None:
        """Settle a report that a process held which died: see `gateway.delivery.deaths`."""
        deaths = report.deaths + 1
        error = DoformsError(describe_deaths(deaths, alone=report.alone))
        attempts = max(report.attempts, deaths - 1)
        following = after_call(account.report_retry, error, attempts=attempts, spent=report.spent / SECOND)
        log.warning("a process died while it told an outcome", notification=report.notification_key, deaths=deaths)
        if report.alone and following.verdict:
            await self._settle(report, ReportState.GIVEN_UP, f"{following.verdict}: {error}", alarm=True)
        else:
            wait, counted = following.wait, report.alone
            await self._settle(report, ReportState.DUE, str(error), wait=wait, spent=wait, counted=counted, left=True)

    async def _wrong_api(self, client: WebserviceClient, told: Gone) -> WrongApi | None:
        """Tell whether a page that says that a notification is not there comes from doForms, by a listing."""
        try:
            end = from_store(self._store.now())
            await prove_password(client, told, end=end)
        except WrongApi as error:
            return error
        except (DoformsError, NotCalled):
            return None
        return None

    async def _put_off(self, report: Report, reason: str, *, wait: float = 0.0) -> None:
        await self._settle(report, ReportState.DUE, reason, wait=wait, counted=False, left=report.left)

    def _may_send(self, report: Report) -> bool:
        if self._stopping or not self._leases.valid(report.notification_id, report.token):
            return False
        self._sending.add(report.notification_id)
        return True

    async def _failed(self, report: Report, error: DoformsError, duration: float) -> None:
        webservice = self._active.webservice(report.webservice_id)
        if webservice is None:  # taken out of the routes meanwhile
            await self._put_off(report, str(error), wait=_NOT_LOADED)
            return
        account = self._active.account(webservice)
        spent = report.spent / SECOND + duration
        following = after_call(account.report_retry, error, attempts=report.attempts, spent=spent)
        log.warning(
            "report failed", notification=report.notification_key, webservice=webservice.name, reason=str(error)
        )
        if following.verdict:
            await self._settle(report, ReportState.GIVEN_UP, f"{following.verdict}: {error}", alarm=True)
        else:
            wait, counted = following.wait, following.counted
            await self._settle(report, ReportState.DUE, str(error), wait=wait, spent=wait + duration, counted=counted)

    async def _settle(
        self,
        report: Report,
        state: ReportState,
        reason: str | None,
        *,
        wait: float = 0.0,
        spent: float = 0.0,
        alarm: bool = False,
        counted: bool = True,
        left: bool = False,
    ) -> None:
        due_at = self._store.now() + micros(wait) if state is ReportState.DUE else None
        text = None if reason is None else clean(reason)

        def write(connection: Connection) -> bool:
            return outbox.settle_report(
                connection,
                report,
                state=state,
                due_at=due_at,
                reason=text,
                spent=micros(spent),
                counted=counted,
                cut_short=left,
            )

        def write_with_alarm(step: AlarmStep) -> None:
            if write(step.connection):
                what = f"notification {report.notification_key}: {text}. {_REMEDY}"
                step.raise_alarm(AlarmKind.OUTCOME_NOT_REPORTED, report.webservice_id, what)

        self._leases.ends(report.notification_id, report.token)
        if alarm:
            await self._alarms.write(write_with_alarm)
        else:
            await self._store.note(report.notification_id, write)
