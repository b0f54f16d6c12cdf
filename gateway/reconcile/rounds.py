"""Runs reconciliation in rounds while the gateway runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog

from gateway.alarms.book import AlarmBook, AlarmStep
from gateway.config.loaded import Reconcile, Webservice
from gateway.config.schema import REMEMBERED
from gateway.doforms.listing_walk import aligned
from gateway.models import AlarmKind
from gateway.reconcile.backfill import Backfill, Doubt, NotListed
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.database import describe
from gateway.store.engine.transaction_time import from_store, micros, to_store
from gateway.store.store import Store
from gateway.store.work import alarms, late_creates, watermarks
from gateway.store.work.watermarks import Mark

log = structlog.get_logger(__name__)

_LOOK = 1.0
"""Seconds between two looks whether anything is due."""
_FIRST_WAIT = 60.0
"""Seconds until a round that broke off is tried again; each time twice as long, at most ``every``."""
_FAILURES = 3
"""So many rounds that broke off in a row raise the alarm."""
_DOUBTED_FOR = timedelta(days=7)
"""For so long a listing that was too short is asked for again, round by round."""


@dataclass(slots=True, kw_only=True)
class Round:
    """What a round over one web service came to."""

    webservice: str
    begin: datetime
    end: datetime
    listed: int = 0
    let_in: int = 0
    doubt: str | None = None
    """Why a listing cannot have been all that there is."""
    lacking: list[str] = field(default_factory=list)
    """Keys of the records that should have been listed."""
    broke_off: str | None = None
    """Why it did not get to its end."""


class Reconciler:
    """Makes the rounds, those of one account one after the other: what one has to wait for is not in others' way."""

    def __init__(
        self, *, store: Store, active: ActiveRoutes, backfill: Backfill, on_reports: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._alarms = AlarmBook(store)
        self._active = active
        self._backfill = backfill
        self._on_reports = on_reports
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._told_lacking: dict[str, frozenset[str]] = {}
        self._running: dict[str, asyncio.Task[Round | None]] = {}
        """By account."""

    async def keep_following(self) -> None:
        """Give notifications of records that were backfilled before the outcome of those, until cancelled."""
        while True:
            try:
                if await self._store.read(late_creates.behind):
                    await self._store.write(late_creates.follow)
                    self._on_reports()
            except Exception as error:
                log.warning("outcomes of backfilled records could not be passed on", error=describe(error))
            await asyncio.sleep(_LOOK)

    async def keep_reconciling(self) -> None:
        """Make the rounds that fall due, until cancelled."""
        try:
            while True:
                try:
                    if (rules := self._active.routes.reconcile) is not None:
                        await self._look(rules)
                except Exception as error:
                    log.warning("it could not be seen whether to reconcile", error=describe(error))
                await asyncio.sleep(_LOOK)
        finally:
            rounds = list(self._running.values())
            for one in rounds:
                one.cancel()
            await asyncio.gather(*rounds, return_exceptions=True)

    async def _look(self, rules: Reconcile) -> None:
        """Begin the rounds that are due, one for each account that has none under way."""
        marks = await self._store.read(watermarks.marks)
        before = self._store.now() - micros(rules.every)
        for webservice in list(self._active.routes.webservices.values()):
            mark = marks.get(webservice.id, Mark(webservice_id=webservice.id))
            if mark.left:
                await self._cut_short(webservice, rules)
                continue
            if mark.round_at is not None and mark.round_at > before:
                continue
            if self._not_before.get(webservice.id, 0.0) > time.monotonic() or self._backfill.obstacle(webservice):
                continue
            if webservice.account not in self._running:
                task = asyncio.create_task(self.round(webservice, rules, before=before))
                self._running[webservice.account] = task
                task.add_done_callback(partial(self._has_run, webservice.account))

    async def _cut_short(self, webservice: Webservice, rules: Reconcile) -> None:
        """Count the death of a process amid a round; from the second on the next waits, each time twice as long."""

        def wait(deaths: int) -> float:
            return 0.0 if deaths == 1 else min(_FIRST_WAIT * 2.0 ** min(deaths - 2, 16), rules.every)

        deaths = await self._store.write(lambda c: watermarks.note_death(c, webservice.id, wait))
        if deaths is None:
            return
        name = webservice.name
        log.warning("a process died amid a round", webservice=name, deaths=deaths, again_in=round(wait(deaths)))
        if deaths >= _FAILURES:
            text = (
                f"the gateway's process died {deaths} times in a row while it compared what doForms received for the "
                f"web service {name} with what is kept. It is tried again in {timedelta(seconds=round(wait(deaths)))}"
            )
            await self._alarms.raise_alarm(AlarmKind.NOT_RECONCILED, webservice.id, text)

    def _has_run(self, account: str, task: asyncio.Task[Round | None]) -> None:
        del self._running[account]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("reconciliation broke off; it goes on", account=account, error=describe(error))

    async def round(self, webservice: Webservice, rules: Reconcile, *, before: int | None = None) -> Round | None:
        """Compare what doForms received as far back as the rules say, and let in what is missing.

        Returns None if another process is about it, or a round has ended after ``before`` (in the store's time).
        """
        token = self._store.token()
        mark = await self._store.write(
            lambda c: watermarks.take(c, webservice.id, token=token, lease=self._store.lease, before=before)
        )
        if mark is None:
            return None
        made = self._begin(webservice, rules, mark)
        ended = False
        holding = asyncio.create_task(self._keep_hold(webservice, rules, token))
        try:
            await self._go(webservice, made, token)
            ended = True
        except NotListed as error:
            made.broke_off = str(error)
            await self._failed(webservice, rules, error)
        finally:
            holding.cancel()
            await self._store.write(lambda c: watermarks.let_go(c, webservice.id, token=token, ended=ended))
        if ended:
            await self._ended(webservice, made)
        return made

    async def _keep_hold(self, webservice: Webservice, rules: Reconcile, token: str) -> None:
        """Renew the lease on a mark until cancelled: a listing may wait for its turn for long."""
        began, told = time.monotonic(), False
        while True:
            await asyncio.sleep(self._store.lease / 3)
            try:
                await self._go_on(webservice, token)
                if not told and (spent := time.monotonic() - began) > _FAILURES * rules.every:
                    await self._waits(webservice, spent)
                    told = True
            except Exception as error:
                log.warning("a lease could not be renewed", webservice=webservice.name, error=describe(error))

    async def _waits(self, webservice: Webservice, spent: float) -> None:
        text = (
            f"a round over what doForms received for the web service {webservice.name} has not ended for "
            f"{timedelta(seconds=round(spent))}: its listings go after all other calls of the account "
            f"{webservice.account}, and these leave no room"
        )
        await self._alarms.raise_alarm(AlarmKind.NOT_RECONCILED, webservice.id, text)

    async def _go_on(self, webservice: Webservice, token: str, until: int | None = None) -> bool:
        lease = self._store.lease
        return await self._store.write(
            lambda c: watermarks.go_on(c, webservice.id, token=token, lease=lease, until=until)
        )

    def _begin(self, webservice: Webservice, rules: Reconcile, mark: Mark) -> Round:
        """Decide from when to when: over all that the rules say, and over all since the mark."""
        moment = self._store.now()
        first = min(moment - micros(rules.lookback), moment if mark.until is None else mark.until)
        oldest = moment - micros(REMEMBERED)
        if first < oldest:
            log.warning(
                "not reconciled for longer than records are known: use `gateway backfill --since` for the time before",
                webservice=webservice.name,
                until=str(from_store(mark.until)),
            )
        begin, end = from_store(max(first, oldest)), from_store(moment - micros(rules.grace))
        return Round(webservice=webservice.name, begin=aligned(begin), end=aligned(end))

    async def _go(self, webservice: Webservice, made: Round, token: str) -> None:
        async with aclosing(self._backfill.compare(webservice, made.begin, made.end)) as windows:
            async for window in windows:
                made.listed += len(window.listed)
                made.let_in += len(await self._backfill.let_in(webservice, window.unknown))
                self._note_doubt(made, window.doubt)
                until = to_store(window.end) if window.last and made.doubt is None else None
                if not await self._go_on(webservice, token, until):
                    raise NotListed(f"another process reconciles {webservice.name} now", told=True)

    def _note_doubt(self, made: Round, doubt: Doubt | None) -> None:
        if doubt is None:
            return
        lacking = [key for key, created in doubt.lacking.items() if made.end - created < _DOUBTED_FOR]
        made.lacking += lacking
        if lacking:
            made.doubt = made.doubt or doubt.text

    async def _failed(self, webservice: Webservice, rules: Reconcile, error: NotListed) -> None:
        failures = self._failures[webservice.id] = self._failures.get(webservice.id, 0) + 1
        wait = error.retry_after or min(_FIRST_WAIT * 2 ** (failures - 1), rules.every)
        self._not_before[webservice.id] = time.monotonic() + wait
        log.warning("reconciliation broke off", webservice=webservice.name, reason=str(error), again_in=round(wait))
        if failures >= _FAILURES and not error.told:
            await self._alarms.raise_alarm(AlarmKind.NOT_RECONCILED, webservice.id, str(error))

    async def _ended(self, webservice: Webservice, made: Round) -> None:
        self._failures.pop(webservice.id, None)
        self._not_before.pop(webservice.id, None)
        known = self._told_lacking.get(webservice.id, frozenset())
        self._told_lacking[webservice.id] = frozenset(made.lacking)

        def write(step: AlarmStep) -> None:
            step.clear(AlarmKind.NOT_RECONCILED, webservice.id)
            if made.doubt is None:
                step.clear(AlarmKind.LISTING_TOO_SHORT, webservice.id)
                return
            is_raised = alarms.is_raised(step.connection, AlarmKind.LISTING_TOO_SHORT, webservice.id)
            if is_raised or not known.issuperset(made.lacking):  # else a person has cleared it
                step.raise_alarm(AlarmKind.LISTING_TOO_SHORT, webservice.id, made.doubt)

        await self._alarms.write(write)
        line = log.info if made.let_in else log.debug
        line("reconciled", webservice=made.webservice, until=str(made.end), listed=made.listed, let_in=made.let_in)
