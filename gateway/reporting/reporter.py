"""Telling doForms the outcome by PUT, until it has heard it or will not."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from functools import partial

import structlog
from sqlalchemy import Connection

from gateway.alarms.book import AlarmBook, AlarmStep
from gateway.calls.access import pause_refused
from gateway.calls.account_limits import Priority
from gateway.calls.bulkhead import AccountBulkheads, CallQueue
from gateway.calls.client import AccountClient, LeaseLost, NotCalled
from gateway.calls.stagger import Stagger
from gateway.config.loaded import Account, Webservice
from gateway.doforms.failures import Gone, Paused, Quota, Refused, Unauthorised, WrongApi
from gateway.errors import DoformsError
from gateway.leases import Leases
from gateway.models import AlarmKind, ReportState
from gateway.pauses import Kind, Pauses
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
POLL = 1.0
_AT_ONCE = 50
"""Reports claimed at once."""
_FEW = 25
_BETWEEN = 0.1
"""Seconds between two claims while more than a few wait for their calls: by the dozen, not one for each that ends."""
_NOT_LOADED = 60.0


class Reporter:
    """Sends the reports that are due."""

    def __init__(self, *, store: Store, active: ActiveRoutes, calls: AccountClient, pauses: Pauses) -> None:
        self._store = store
        self._alarms = AlarmBook(store)
        self._active = active
        self._calls = calls
        self._pauses = pauses
        self._wake = asyncio.Event()
        self._running: dict[asyncio.Task[None], Report] = {}
        self._sending: set[int] = set()
        self._unsent: list[Report] = []
        self._leases = Leases(store, outbox.renew)
        self._lines = Stagger(store)
        self._places = AccountBulkheads(store)
        self._claimed_at = -math.inf
        self._services: list[asyncio.Task[None]] = []
        self._stopping = False

    def start(self) -> None:
        """Begin to report."""
        self._services = [asyncio.create_task(self._work()), asyncio.create_task(self._leases.keep_renewed())]

    def wake(self) -> None:
        """Look at the store now."""
        self._wake.set()

    def begin_to_stop(self) -> None:
        """Claim nothing more, and send nothing that has not been sent."""
        self._stopping = True
        self._wake.set()
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

    async def _work(self) -> None:
        while not self._stopping:
            try:
                wait = await self._claim_due()
            except Exception as error:
                log.error("the store could not be read or written; trying again", error=str(error), exc_info=error)
                wait = POLL
            if wait > 0 and not self._stopping:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
            self._wake.clear()

    async def _claim_due(self) -> float:
        """Claim and start the reports that are due; returns the seconds until there can be more."""
        if len(self._running) > _FEW and (left := self._claimed_at + _BETWEEN - time.monotonic()) > 0:
            return left
        due_at = await self._store.read(outbox.next_report_due)
        moment = self._store.now()
        if due_at is None or due_at > moment:
            return POLL if due_at is None else max(0.001, min(POLL, (due_at - moment) / SECOND))
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
        self._wake.set()

    async def _send(self, report: Report) -> None:
        webservice = self._active.webservice(report.webservice_id)
        if webservice is None or webservice.password is None:
            reason = f"the web service {report.webservice_id!r} is not in the routes file, or has no password there"
            await self._put_off(report, reason, wait=_NOT_LOADED)
            return
        account = self._active.account(webservice)
        if report.left:
            await self._cut_short(report, account)
            return
        try:
            async with self._places.hold(account, CallQueue.REPORTS):
                await self._tell(report, account, webservice)
        except Deferred as told:
            await self._put_off(report, str(told), wait=(told.until - self._store.now()) / SECOND)

    async def _tell(self, report: Report, account: Account, webservice: Webservice) -> None:
        started = time.monotonic()
        try:
            await self._calls.report(
                account, webservice, report.notification_key, report.outcome, may_send=lambda: self._may_send(report)
            )
        except LeaseLost:
            if self._stopping:
                self._unsent.append(report)
                return
            log.warning("a report was not sent: its lease was lost", notification=report.notification_key)
        except NotCalled as told:
            await self._put_off(report, f"the web service {webservice.name} is paused: {told}")
        except Gone as error:
            if error.is_page and (wrong := await self._wrong_api(account, webservice, error)) is not None:
                await pause_refused(self._pauses, self._active, webservice, wrong)
                await self._put_off(report, str(wrong))
            else:
                await self._settle(report, ReportState.GONE, str(error))
        except Refused as error:
            await self._settle(report, ReportState.REFUSED, str(error), alarm=True)
        except (Unauthorised, Quota, WrongApi) as error:
            await pause_refused(self._pauses, self._active, webservice, error)
            await self._put_off(report, str(error))
        except Paused as error:
            until = self._lines.next(account.name, error.retry_after or 0.0, account.requests_per_minute)
            await self._put_off(report, str(error), wait=(until - self._store.now()) / SECOND)
        except DoformsError as error:
            await self._failed(report, account, webservice, error, time.monotonic() - started)
        else:
            await self._settle(report, ReportState.REPORTED, None)
            await self._pauses.worked(Kind.WEBSERVICE, webservice.id)

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

    async def _wrong_api(self, account: Account, webservice: Webservice, told: Gone) -> WrongApi | None:
        """Tell whether a page that says that a notification is not there comes from doForms, by a listing."""
        try:
            end = from_store(self._store.now())
            await prove_password(self._calls, account, webservice, told, end=end, priority=Priority.REPORT)
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

    async def _failed(
        self, report: Report, account: Account, webservice: Webservice, error: DoformsError, duration: float
    ) -> None:
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
