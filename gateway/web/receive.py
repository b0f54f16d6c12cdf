"""Receiving: from doForms' request to its answer, with the keeping in between.

The order is fixed: 405, 401, 413, 400, keep, answer. Nothing is answered 2xx before the notification was committed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.delivery.current import Current
from gateway.delivery.decide import Decider, account_of
from gateway.delivery.logged_alarms import raise_and_log
from gateway.delivery.outcomes import Outcomes
from gateway.delivery.pressure import Pressure
from gateway.delivery.report import Reporter
from gateway.delivery.room import Room
from gateway.delivery.work import Work
from gateway.doforms.notification import parse_notification
from gateway.errors import CannotKeep, NotANotification
from gateway.log import Mask
from gateway.models import Event, FetchState, Mode, Notification, Outcome
from gateway.store import inbox, quarantine, repeats
from gateway.store.clock import micros
from gateway.store.engine import say
from gateway.store.inbox import Keep, Kept
from gateway.store.records import KeptNotification
from gateway.store.store import Store
from gateway.web import answer
from gateway.web.authenticate import Authenticator
from gateway.web.body import LARGEST_BODY, Bodies
from gateway.web.refusals import Refusals

log = structlog.get_logger(__name__)

KEEP_WITHIN = 2.8
"""Seconds after which a request whose keeping has not ended is answered 503; doForms hangs up after 3."""


class Receiver:
    """The endpoint that doForms posts to: an ASGI application for each event path."""

    def __init__(
        self,
        *,
        current: Current,
        store: Store,
        worker: Work,
        decider: Decider,
        outcomes: Outcomes,
        room: Room,
        reporter: Reporter,
        pressure: Pressure,
        mask: Mask,
    ) -> None:
        self._current = current
        self._store = store
        self._worker = worker
        self._decider = decider
        self._outcomes = outcomes
        self._room = room
        self._bodies = Bodies(room)
        self._reporter = reporter
        self._pressure = pressure
        self._mask = mask
        self._loop = asyncio.get_running_loop()
        store.on_kept_late(self._kept_late)
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusals = Refusals()
        self.load()

    def load(self) -> None:
        """Take over the headers of the routes in force."""
        self._authenticator = Authenticator(self._current.routes)

    def endpoint(self, path_event: Event | None) -> ASGIApp:
        """Return the ASGI application of one path."""

        def receive_at(scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
            return self.handle(scope, receive, send, path_event)

        return receive_at

    async def finish(self) -> None:
        """Wait for the marks of answers that were written."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def handle(self, scope: Scope, receive: Receive, send: Send, path_event: Event | None) -> None:
        """Answer one request."""
        started = time.monotonic()
        if scope["method"] != "POST":
            return await answer.error(send, 405, "only POST is accepted here", (b"allow", b"POST"))
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value)
        if not self._authenticator.may_pass(headers):
            return await self._refuse(scope, send)
        try:
            body = await self._bodies.read(receive, headers.get(b"content-length", (b"",))[0])
        except CannotKeep as error:
            return await answer.error(send, 503, str(error), answer.retry_later(), (b"connection", b"close"))
        if body is None:
            return None  # doForms has hung up
        if len(body) > LARGEST_BODY:
            return await answer.error(send, 413, "the body is over 1 MiB", (b"connection", b"close"))
        try:
            notification = parse_notification(body, path_event=path_event, received=datetime.now(UTC))
        except NotANotification as error:
            return await self._quarantine(scope, send, body, self._mask.text(str(error)))
        webservice = self._current.webservice(notification.webservice_id)
        account = account_of(notification.webservice_id) if webservice is None else webservice.account
        if not self._authenticator.may_speak_for(account, headers):
            return await self._refuse(scope, send)
        self._refusals.passed()
        return await self._keep(notification, receive, send, started)

    async def _keep(self, notification: Notification, receive: Receive, send: Send, started: float) -> None:
        item = self._decider.decide(notification)
        try:
            with self._pressure:
                kept = await self._kept(item, started)
        except CannotKeep as error:
            log.error("not kept", notification=notification.key, record=notification.record_key, reason=str(error))
            return await answer.error(send, 503, str(error), answer.retry_later())
        if kept.repeat:
            log.info("repeat", notification=notification.key, outcome=kept.outcome)
            return await (answer.empty(send) if kept.outcome is None else answer.outcome(send, kept.outcome))
        if item.alarm is not None:
            log.warning("unmatched", notification=notification.key, record=notification.record_key, reason=item.reason)
        deadline = started + self._current.routes.answer_within
        if kept.outcome is None and kept.mode is Mode.IMMEDIATE:
            return await self._answer_in_time(kept, item, receive, send, deadline)
        if kept.deliveries:
            self._hand_over(kept, item, urgent=False)
        if kept.outcome is None:
            return await answer.empty(send)
        await answer.outcome(send, kept.outcome)
        return self._mark(kept.id, kept.outcome)

    async def _kept(self, item: Keep, started: float) -> Kept:
        """Keep a notification; raises CannotKeep."""
        why = self._room.refuses()
        if why is not None:
            return await self._find_repeat(item, why)
        self._room.backlog.add(len(item.deliveries))
        keeping = self._store.submit(item)
        out_of_time = self._loop.call_later(started + KEEP_WITHIN - time.monotonic(), keeping.cancel)
        try:
            return await keeping
        except asyncio.CancelledError:
            if not keeping.cancelled():
                raise
            # It may still be committed: then its work goes on (see `_kept_late`), and doForms' next try is a repeat.
            raise CannotKeep("the store did not commit in time; send it again") from None
        except Exception as error:
            raise CannotKeep(f"the notification could not be kept: {say(error)}") from error
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
            raise CannotKeep(f"the store cannot be read: {say(error)}") from error
        if repeat is None:
            raise CannotKeep(why)
        return repeat

    async def _count_repeat(self, item: Keep) -> Kept | None:
        """Count a repeat; where not even that can be written its outcome is told all the same, if it is known."""
        carries = len(item.notification.body)
        try:
            return await self._store.write(lambda connection: inbox.find_repeat(connection, item), carries=carries)
        except Exception as error:
            log.warning("a repeat could not be counted", notification=item.notification.key, error=say(error))
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

    async def _answer_in_time(self, kept: Kept, item: Keep, receive: Receive, send: Send, deadline: float) -> None:
        """Run the work now; answer with the outcome if it comes in time, else empty. The work itself goes on."""
        left = deadline - time.monotonic()
        waiting = self._outcomes.expect(kept.id, self._store.now() + micros(left))
        hung_up = asyncio.ensure_future(receive())
        self._hand_over(kept, item, urgent=True)
        try:
            ends: set[asyncio.Future[Outcome | None] | asyncio.Future[Message]] = {waiting, hung_up}
            await asyncio.wait(ends, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
            outcome = waiting.result() if waiting.done() and not hung_up.done() else None
            if outcome is None:
                await answer.empty(send)
            else:
                await answer.outcome(send, outcome)
            self._mark(kept.id, outcome)
        finally:
            self._outcomes.forget(kept.id)
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

    async def _quarantine(self, scope: Scope, send: Send, body: bytes, reason: str) -> None:
        why = self._room.refuses_bodies()
        if why is not None:
            log.error("a body that is no notification was not kept", reason=reason, error=why)
            return await answer.error(send, 503, why, answer.retry_later())
        client = scope.get("client")
        entry = quarantine.NewEntry(path=scope["path"], client=client[0] if client else None, reason=reason, body=body)
        try:
            async with asyncio.timeout(KEEP_WITHIN):
                number = await self._store.write(
                    lambda connection: quarantine.add(connection, entry), carries=len(body)
                )
        except Exception as error:
            log.error("a body that is no notification could not be kept", reason=reason, error=say(error))
            return await answer.error(send, 503, "the body could not be kept; send it again", answer.retry_later())
        log.warning("quarantined", reason=reason, quarantine=number)
        return await answer.error(send, 400, reason)

    async def _refuse(self, scope: Scope, send: Send) -> None:
        client = scope.get("client")
        log.warning("refused: no or wrong secret header", client=client[0] if client else None, path=scope["path"])
        if (text := self._refusals.met()) is not None:
            self._spawn(raise_and_log(self._store, "unauthorised", "webhook", text))
        await answer.error(send, 401, "a secret header is missing or wrong")
