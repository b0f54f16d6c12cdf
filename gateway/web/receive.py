"""Receiving: from doForms' request to its answer, with the keeping in between.

The order is fixed: 405, 401, 413, 400, keep, answer. Nothing is answered 2xx before the notification was committed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.alarms.book import AlarmBook
from gateway.delivery.backpressure import Backpressure
from gateway.delivery.waiters import OutcomeWaiters
from gateway.doforms.notification import parse_notification
from gateway.errors import CannotKeep, Misfit, NotANotification
from gateway.intake.admission import Admission
from gateway.intake.deliverer import Deliverer
from gateway.intake.plan import Planner, account_of
from gateway.log import Mask
from gateway.log.limit import LogLimit
from gateway.models import AlarmKind, Event, FetchState, Mode, Notification, Outcome
from gateway.reporting.reporter import Reporter
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.database import describe
from gateway.store.engine.transaction_time import micros
from gateway.store.operator.quarantine import NewEntry
from gateway.store.store import Store
from gateway.store.work import inbox, repeats
from gateway.store.work.inbox import Keep, Kept
from gateway.store.work.records import KeptNotification
from gateway.tally import Tally
from gateway.web import responses
from gateway.web.aside import Aside
from gateway.web.auth_failures import AuthFailures
from gateway.web.authenticate import Authenticator
from gateway.web.body import LARGEST_BODY, Bodies
from gateway.web.clients import client_of
from gateway.web.paths import shown
from gateway.web.protocol.closing import may_be_gone
from gateway.web.strays import Strays
from gateway.web.unpack import TAKEN, codings_of, unpack

log = structlog.get_logger(__name__)

_STATUS = {Misfit.CODING: 415, Misfit.TOO_LARGE: 413}
"""What is answered to a body that is no notification, where it is not 400."""
_TAKEN = {Misfit.CODING: ((b"accept-encoding", TAKEN.encode()),)}
"""With 415 goes what would be unpacked (RFC 9110, 15.5.16)."""

KEEP_WITHIN = 2.8
"""Seconds after which a request whose keeping has not ended is answered 503; doForms hangs up after 3."""


class Receiver:
    """The endpoint that doForms posts to: an ASGI application for each event path."""

    def __init__(
        self,
        *,
        active: ActiveRoutes,
        store: Store,
        worker: Deliverer,
        decider: Planner,
        waiters: OutcomeWaiters,
        admission: Admission,
        reporter: Reporter,
        backpressure: Backpressure,
        mask: Mask,
    ) -> None:
        self._active = active
        self._store = store
        self._alarms = AlarmBook(store)
        self._worker = worker
        self._decider = decider
        self._waiters = waiters
        self._admission = admission
        self.bodies = Bodies(admission)
        self._reporter = reporter
        self._backpressure = backpressure
        self._mask = mask
        self._loop = asyncio.get_running_loop()
        store.on_kept_late(self._kept_late)
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusals = AuthFailures()
        self._refused = LogLimit(log)
        self._strays = Strays(store, self._spawn)
        self._strangers = Tally(_log_strangers)
        self._aside = Aside(store=store, admission=admission, spawn=self._spawn, within=KEEP_WITHIN)
        self.load()

    def load(self) -> None:
        """Take over the headers of the routes in force."""
        self._authenticator = Authenticator(self._active.routes)

    def endpoint(self, path_event: Event | None) -> ASGIApp:
        """Return the ASGI application of one path."""

        def receive_at(scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
            return self.handle(scope, receive, send, path_event)

        return receive_at

    async def finish(self) -> None:
        """Wait for the marks of answers that were written, and for what is still to be told."""
        self._strays.finish()
        self._aside.finish()
        self._strangers.finish()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def stray(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 404 at a path that is not the webhook's; whoever brings the right secret probably meant that."""
        if scope["type"] == "http" and self._authenticator.secure and self._authenticator.may_pass(_grouped(scope)):
            self._strays.met(scope["path"], self._active.routes.path)
        await responses.error(send, 404, "nothing is received at this path")

    async def handle(self, scope: Scope, receive: Receive, send: Send, path_event: Event | None) -> None:
        """Answer one request."""
        started = time.monotonic()
        if scope["method"] != "POST":
            return await responses.error(send, 405, "only POST is accepted here", (b"allow", b"POST"))
        headers = _grouped(scope)
        if not self._authenticator.may_pass(headers):
            return await self._refuse(scope, send, headers)
        try:
            body = await self.bodies.read(
                receive,
                headers.get(b"content-length", (b"",))[0],
                share=lambda: self._authenticator.share(headers),
                scope=scope,
            )
        except CannotKeep as error:
            return await responses.error(send, 503, str(error), responses.retry_later(), (b"connection", b"close"))
        if body is None:
            return None  # doForms has hung up
        if len(body) > LARGEST_BODY:
            return await responses.error(send, 413, "the body is over 1 MiB", (b"connection", b"close"))
        try:
            plain = body
            if b"content-encoding" in headers:
                plain = await unpack(body, codings_of(headers[b"content-encoding"]), most=LARGEST_BODY)
            notification = parse_notification(plain, path_event=path_event, received=datetime.now(UTC))
        except NotANotification as error:
            return await self._set_aside(scope, send, headers, body, error)
        webservice = self._active.webservice(notification.webservice_id)
        account = account_of(notification.webservice_id) if webservice is None else webservice.account
        if not self._authenticator.may_speak_for(account, headers):
            return await self._refuse(scope, send, headers)
        self._refusals.passed()
        return await self._keep(notification, scope, receive, send, started)

    async def _keep(
        self, notification: Notification, scope: Scope, receive: Receive, send: Send, started: float
    ) -> None:
        item = self._decider.plan_notification(notification)
        try:
            with self._backpressure:
                kept = await self._kept(item, started)
        except CannotKeep as error:
            log.error("not kept", notification=notification.key, record=notification.record_key, reason=str(error))
            return await responses.error(send, 503, str(error), responses.retry_later())
        if kept.repeat:
            log.info("repeat", notification=notification.key, outcome=kept.outcome)
            return await (responses.empty(send) if kept.outcome is None else responses.outcome(send, kept.outcome))
        if item.alarm is not None:
            self._log_unmatched(item)
        deadline = started + self._active.routes.answer_within
        if kept.outcome is None and kept.mode is Mode.IMMEDIATE:
            return await self._answer_in_time(kept, item, scope, receive, send, deadline)
        if kept.deliveries:
            self._hand_over(kept, item, urgent=False)
        if kept.outcome is None:
            return await responses.empty(send)
        await responses.outcome(send, kept.outcome)
        return self._mark(kept.id, None if may_be_gone(scope) else kept.outcome)

    def _log_unmatched(self, item: Keep) -> None:
        """Log what no route matched: each notification of a declared web service, of the others a line a second."""
        one = item.notification
        if item.webservice is None:
            self._strangers.met("", f"notification {one.key} of {one.webservice_id}, record {one.record_key}")
        else:
            log.warning("unmatched", notification=one.key, record=one.record_key, reason=item.reason)

    async def _kept(self, item: Keep, started: float) -> Kept:
        """Keep a notification; raises CannotKeep."""
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
            self._hand_over(kept, item, urgent=False)

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

    def _hand_over(self, kept: Kept, item: Keep, *, urgent: bool) -> None:
        def notification() -> KeptNotification:
            return KeptNotification(
                id=kept.id,
                notification=item.notification,
                account=item.account,
                webservice=item.webservice,
                fetch_state=FetchState.DUE if item.fetch else FetchState.NONE,
            )

        self._worker.accept(kept, notification, urgent=urgent)

    async def _answer_in_time(
        self, kept: Kept, item: Keep, scope: Scope, receive: Receive, send: Send, deadline: float
    ) -> None:
        """Run the work now; answer with the outcome if it comes in time, else empty. The work itself goes on."""
        left = deadline - time.monotonic()
        waiting = self._waiters.expect(kept.id, self._store.now() + micros(left))
        hung_up = asyncio.ensure_future(receive())
        self._hand_over(kept, item, urgent=True)
        try:
            ends: set[asyncio.Future[Outcome | None] | asyncio.Future[Message]] = {waiting, hung_up}
            await asyncio.wait(ends, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
            outcome = waiting.result() if waiting.done() and not hung_up.done() else None
            if outcome is None:
                await responses.empty(send)
            else:
                await responses.outcome(send, outcome)
            self._mark(kept.id, None if may_be_gone(scope) else outcome)
        finally:
            self._waiters.forget(kept.id)
            hung_up.cancel()

    def _mark(self, notification_id: int, outcome: Outcome | None) -> None:
        """Note in the store what was answered, without keeping doForms waiting for it."""
        self._spawn(self._write_mark(notification_id, outcome))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write_mark(self, notification_id: int, outcome: Outcome | None) -> None:
        try:
            await self._store.note(notification_id, lambda c: inbox.mark_answered(c, notification_id, outcome))
        except Exception as error:
            log.warning("the answer could not be marked; doForms is told again by PUT", error=str(error))
        if outcome is None:
            self._reporter.wake()

    async def _set_aside(
        self, scope: Scope, send: Send, headers: Mapping[bytes, Sequence[bytes]], body: bytes, error: NotANotification
    ) -> None:
        entry = NewEntry(
            path=scope["path"],
            client=self._client(scope),
            reason=self._mask.text(str(error)),
            body=body,
            code=error.code,
            coding=b", ".join(headers.get(b"content-encoding", ())).decode("latin-1") or None,
            senders=self._authenticator.passing(headers),
        )
        try:
            await self._aside.keep(entry)
        except CannotKeep as why:
            return await responses.error(send, 503, str(why), responses.retry_later())
        return await responses.error(send, _STATUS.get(error.code, 400), entry.reason, *_TAKEN.get(error.code, ()))

    async def _refuse(self, scope: Scope, send: Send, headers: Mapping[bytes, Sequence[bytes]]) -> None:
        doubled = self._authenticator.doubled(headers)
        why = "no or wrong secret header" if doubled is None else f"the secret header {doubled} came twice"
        self._refused.warning(f"refused: {why}", client=self._client(scope), path=shown(scope["path"]))
        if (text := self._refusals.met(doubled)) is not None:
            self._spawn(self._alarms.raise_alarm(AlarmKind.UNAUTHORISED, "webhook", text))
        told = "a secret header is missing or wrong" if doubled is None else f"the header {doubled} came twice"
        await responses.error(send, 401, f"{told}; send it once" if doubled else told)

    def _client(self, scope: Scope) -> str | None:
        return client_of(scope, self._active.routes.trusted_proxies)


def _log_strangers(_: str, times: int, last: str) -> None:
    log.warning("unmatched: a web service that is not in the routes file", times=times, last=last)


def _grouped(scope: Scope) -> dict[bytes, list[bytes]]:
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, []).append(value)
    return headers


def _out_of_time(body_took: float) -> str:
    """Tell a body that came slowly from a store that commits slowly: somebody else must look at something else."""
    if body_took < KEEP_WITHIN / 2:
        return "the store did not commit in time; send it again"
    return (
        f"the body came {body_took:.1f} s after the headers, of the {KEEP_WITHIN:g} s in which doForms must have its "
        "answer: the network or a proxy is slow, not the store. It may have been kept all the same; send it again"
    )
