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

from gateway.doforms.notification import parse_notification
from gateway.errors import CannotKeep, Misfit, NotANotification
from gateway.intake.plan import account_of
from gateway.models import Event, Mode, Notification, Outcome
from gateway.routing.active import ActiveRoutes
from gateway.store.operator.quarantine import NewEntry
from gateway.store.work.inbox import Keep, Kept
from gateway.tally import Tally
from gateway.web import responses
from gateway.web.answering import Answering
from gateway.web.aside import Aside
from gateway.web.authenticate import Authenticator
from gateway.web.body import LARGEST_BODY, Bodies
from gateway.web.clients import client_of
from gateway.web.keep import Keeper
from gateway.web.protocol.closing import may_be_gone
from gateway.web.refused_requests import RefusedRequests
from gateway.web.unpack import TAKEN, codings_of, unpack

log = structlog.get_logger(__name__)

_STATUS = {Misfit.CODING: 415, Misfit.TOO_LARGE: 413}
"""What is answered to a body that is no notification, where it is not 400."""
_TAKEN = {Misfit.CODING: ((b"accept-encoding", TAKEN.encode()),)}
"""With 415 goes what would be unpacked (RFC 9110, 15.5.16)."""


class Receiver:
    """The endpoint that doForms posts to: an ASGI application for each event path."""

    def __init__(
        self,
        *,
        active: ActiveRoutes,
        bodies: Bodies,
        keeper: Keeper,
        answering: Answering,
        aside: Aside,
        refused: RefusedRequests,
    ) -> None:
        self._active = active
        self._bodies = bodies
        self._keeper = keeper
        self._answering = answering
        self._aside = aside
        self._refused = refused
        self._strangers = Tally(_log_strangers)
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
        self._strangers.finish()
        await asyncio.gather(self._refused.finish(), self._aside.finish(), self._answering.finish())

    async def stray(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 404 at a path that is not the webhook's; whoever brings the right secret probably meant that."""
        if scope["type"] == "http" and self._authenticator.secure and self._authenticator.may_pass(_grouped(scope)):
            self._refused.stray(scope["path"], self._active.routes.path)
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
            body = await self._bodies.read(
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
        self._refused.passed()
        return await self._keep(notification, scope, receive, send, started)

    async def _keep(
        self, notification: Notification, scope: Scope, receive: Receive, send: Send, started: float
    ) -> None:
        item = self._keeper.plan(notification)
        try:
            kept = await self._keeper.keep(item, started)
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
            self._keeper.hand_over(kept, item, urgent=False)
        if kept.outcome is None:
            return await responses.empty(send)
        await responses.outcome(send, kept.outcome)
        return self._answering.mark(kept.id, None if may_be_gone(scope) else kept.outcome)

    def _log_unmatched(self, item: Keep) -> None:
        """Log what no route matched: each notification of a declared web service, of the others a line a second."""
        one = item.notification
        if item.webservice is None:
            self._strangers.met("", f"notification {one.key} of {one.webservice_id}, record {one.record_key}")
        else:
            log.warning("unmatched", notification=one.key, record=one.record_key, reason=item.reason)

    async def _answer_in_time(
        self, kept: Kept, item: Keep, scope: Scope, receive: Receive, send: Send, deadline: float
    ) -> None:
        """Run the work now; answer with the outcome if it comes in time, else empty. The work itself goes on."""
        left = deadline - time.monotonic()
        waiting = self._answering.expect(kept.id, left)
        hung_up = asyncio.ensure_future(receive())
        self._keeper.hand_over(kept, item, urgent=True)
        try:
            ends: set[asyncio.Future[Outcome | None] | asyncio.Future[Message]] = {waiting, hung_up}
            await asyncio.wait(ends, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
            outcome = waiting.result() if waiting.done() and not hung_up.done() else None
            if outcome is None:
                await responses.empty(send)
            else:
                await responses.outcome(send, outcome)
            self._answering.mark(kept.id, None if may_be_gone(scope) else outcome)
        finally:
            self._answering.forget(kept.id)
            hung_up.cancel()

    async def _set_aside(
        self, scope: Scope, send: Send, headers: Mapping[bytes, Sequence[bytes]], body: bytes, error: NotANotification
    ) -> None:
        entry = NewEntry(
            path=scope["path"],
            client=self._client(scope),
            reason=self._aside.mask.text(str(error)),
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
        told = self._refused.unauthorised(client=self._client(scope), path=scope["path"], doubled=doubled)
        await responses.error(send, 401, told)

    def _client(self, scope: Scope) -> str | None:
        return client_of(scope, self._active.routes.trusted_proxies)


def _log_strangers(_: str, times: int, last: str) -> None:
    log.warning("unmatched: a web service that is not in the routes file", times=times, last=last)


def _grouped(scope: Scope) -> dict[bytes, list[bytes]]:
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, []).append(value)
    return headers
