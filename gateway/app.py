"""A running gateway: a web application, what can be ordered of it, and its way from start to end."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.calls.client import AccountClient
from gateway.calls.gate import Gate
from gateway.components import Delivering, Receiving, Shared
from gateway.config.loaded import Routes
from gateway.config.schema_values import HEALTH_PATHS
from gateway.delivery.backpressure import Backpressure
from gateway.delivery.waiters import OutcomeWaiters
from gateway.errors import SettingsError
from gateway.http import build_client
from gateway.intake.deliverer import Deliverer, NoDeliverer
from gateway.log import Mask
from gateway.maintenance.memory import MemoryWatch, calm_collector
from gateway.pauses import Kind, Pauses
from gateway.reload import Reloader
from gateway.reporting.reporter import Reporter
from gateway.routing.active import ActiveRoutes
from gateway.routing.reuse import reuse_instances
from gateway.settings import ProcessSettings, Role
from gateway.store.engine.connect import is_sqlite
from gateway.store.engine.database import describe
from gateway.store.store import Store
from gateway.watchdog import watching_for_standstill
from gateway.web import responses
from gateway.web.authenticate import Authenticator
from gateway.web.deadline import Deadline
from gateway.web.health import Health
from gateway.web.paths import EVENT_PATHS, plain, suffix_of
from gateway.web.protocol.connections import Connections, allow_most_files, most_connections, most_files
from gateway.web.protocol.strain import Strains
from gateway.web.server import bind, serve_until_told
from gateway.web.signals import hearing
from gateway.web.watchdog import ending_within

log = structlog.get_logger(__name__)


_START_LEFT_WITHIN = 1.0
"""Seconds after a signal in which a start that has not ended is given up."""
_BEYOND_GRACE = 3.0
"""Seconds beyond ``shutdown_grace`` that the last steps get: they only write to the store, which may not take them."""


class Gateway:
    """A running gateway: a web application, and what can be ordered of it while it runs.

    ``receiving`` is missing where the process does not receive, ``delivering`` where it does not deliver.
    """

    def __init__(
        self, shared: Shared, work: Deliverer, *, receiving: Receiving | None, delivering: Delivering | None
    ) -> None:
        self.store = shared.store
        self.active = shared.active
        self._pauses = shared.pauses
        self._reporter = shared.reporter
        self._receiving = receiving
        self._delivering = delivering
        self.connections = Connections(most_connections(most_files()))
        self.strains = Strains(shared.store, (self.connections.full, *(() if receiving is None else receiving.strains)))
        health = Health(
            store=shared.store,
            worker=work,
            full=None if receiving is None else receiving.full,
            strained=self.connections.full.why,
        )
        self._others = Starlette(routes=[Route("/healthz", health.alive), Route("/readyz", health.ready)])
        self._stop_by: float | None = None
        self._listen()

    def _listen(self) -> None:
        path, receiving = self.active.routes.path, self._receiving
        self._webhook: dict[str, ASGIApp] = {
            path + suffix: _receives_nothing if receiving is None else receiving.receiver.endpoint(event)
            for suffix, event in EVENT_PATHS.items()
        }

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Receiving comes first: its paths need neither routing by pattern nor middleware."""
        application = self._webhook.get(scope["path"]) if scope["type"] == "http" else self._others
        return (application or self._elsewhere(scope["path"]))(scope, receive, send)

    def _elsewhere(self, path: str) -> ASGIApp:
        """Return what answers at a path that is not spelled as the webhook's."""
        webhook = self.active.routes.path
        if (suffix := suffix_of(path, webhook)) is not None:
            return self._webhook[webhook + suffix]
        return (
            self._others if plain(path) in HEALTH_PATHS or self._receiving is None else self._receiving.receiver.stray
        )

    async def load(self, routes: Routes) -> None:
        """Put other routes in force, whole. What is being sent ends as it began.

        Raises:
            SettingsError: they need a restart; nothing was changed.
        """
        old = self.active.routes
        if routes.store != old.store:
            raise SettingsError(
                f"{routes.file}: [gateway] store has changed, and a running gateway cannot move to another store. "
                "Restart it, or take that change back"
            )
        plan = reuse_instances(routes, old, afresh=self._pauses.misconfigured())
        self.active.load(plan.routes)
        self.store.lease = routes.lease
        self._listen()
        if self._receiving is not None:
            self._receiving.receiver.load()
        if self._delivering is not None:
            self._delivering.load()
        log.info(
            "routes loaded again",
            routes=len(routes.routes),
            kept=plan.kept,
            opened=plan.opened,
            closed=plan.closed,
        )
        if self._delivering is not None:
            await self._see_what_it_mended(self._delivering)

    async def _see_what_it_mended(self, delivering: Delivering) -> None:
        try:
            await self._pauses.mended()
            await delivering.watch.look(thoroughly=True)
        except Exception as error:
            log.warning("pauses and alarms could not be looked at", error=describe(error))
        self._reporter.wake()

    def begin_to_stop(self) -> float:
        """Start nothing more; returns until when what is being sent may take, by `time.monotonic`."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self.active.routes.shutdown_grace
            if self._delivering is not None:
                self._delivering.begin_to_stop()
        return self._stop_by


async def _receives_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what was sent to the wrong process so that doForms sends it again."""
    text = "this process only delivers (--role work): send notifications to one that receives"
    await responses.error(send, 503, text, responses.retry_later())


@asynccontextmanager
async def running(
    routes: Routes, *, mask: Mask, role: Role = Role.BOTH, active: ActiveRoutes | None = None
) -> AsyncIterator[Gateway]:
    """Start everything that belongs to these routes and yield the gateway, a web application.

    On leaving: what has not been sent is handed back, what is being sent gets ``shutdown_grace``, every answer is
    marked, the store is closed. The server must have ended before. ``active`` is to hold the routes in force, for
    whoever looks at them from outside.

    Raises:
        StoreInUse, StoreTooNew, StoreError: the store cannot be used.
    """
    store, active = Store(routes.store, lease=routes.lease), active or ActiveRoutes(routes)
    backpressure, pauses = Backpressure(), Pauses(store)

    def paused(webservice_id: str) -> str | None:
        return pauses.reason(Kind.WEBSERVICE, webservice_id)

    await store.open()
    try:
        async with (
            build_client() as http,
            aclosing(
                AccountClient(http, store, mask=mask, steps_back=lambda: backpressure.is_high, paused=paused)
            ) as calls,
        ):
            gate = Gate(store=store, active=active, client=calls, pauses=pauses)
            shared = Shared(
                store=store,
                active=active,
                calls=calls,
                gate=gate,
                pauses=pauses,
                backpressure=backpressure,
                waiters=OutcomeWaiters(),
                reporter=Reporter(store=store, active=active, gate=gate, pauses=pauses),
                mask=mask,
            )
            async with _working(shared, role) as gateway:
                yield gateway
    finally:
        await store.close()


@asynccontextmanager
async def _working(shared: Shared, role: Role) -> AsyncIterator[Gateway]:
    delivering = None if role is Role.RECEIVE else Delivering(shared)
    work = NoDeliverer() if delivering is None else delivering.worker
    receiving = None if role is Role.WORK else Receiving(shared, work)
    if receiving is not None:
        await receiving.start()
    if delivering is not None:
        await delivering.start()
    gateway = Gateway(shared, work, receiving=receiving, delivering=delivering)
    watching = asyncio.create_task(gateway.strains.keep_looking())
    try:
        with watching_for_standstill():
            yield gateway
    finally:
        watching.cancel()
        until = gateway.begin_to_stop()
        if delivering is not None:
            await delivering.stop(until)
        if receiving is not None:
            await receiving.stop()


async def serve(routes: Routes, settings: ProcessSettings, *, mask: Mask, load: Callable[[], Routes]) -> None:
    """Run the gateway until SIGTERM or SIGINT; ``load`` loads the routes file again at SIGHUP.

    Raises:
        SettingsError: no secret header is configured, the role does not fit the store, or the address cannot be
            listened on.
        StoreError: the store cannot be used.
    """
    _refuse_unfit(routes, settings)
    allow_most_files()
    told, asked, starting = asyncio.Event(), asyncio.Event(), asyncio.current_task()
    deadline, active = Deadline(), ActiveRoutes(routes)

    def stop() -> None:
        told.set()
        if starting is not None:
            deadline.within(_START_LEFT_WITHIN, "")
            starting.cancel()

    with (
        hearing(stop=stop, reload=asked.set),
        ending_within(lambda: active.routes.shutdown_grace),
        bind(settings.host, settings.port) as listening,
    ):
        try:
            async with running(routes, mask=mask, role=settings.role, active=active) as gateway:
                starting = None
                await _serve(
                    gateway, listening, settings, mask=mask, load=load, told=told, asked=asked, deadline=deadline
                )
        except asyncio.CancelledError:
            if starting is None or not told.is_set():
                raise
            starting.uncancel()
            log.info("stopped while it was starting")
            return
    log.info("stopped")


async def _serve(
    gateway: Gateway,
    listening: socket.socket,
    settings: ProcessSettings,
    *,
    mask: Mask,
    load: Callable[[], Routes],
    told: asyncio.Event,
    asked: asyncio.Event,
    deadline: Deadline,
) -> None:
    """Serve until ``told``; load the routes again whenever ``asked``."""

    async def swap(loaded: Routes) -> None:
        _refuse_unfit(loaded, settings)
        mask.learn(loaded.secrets)
        await gateway.load(loaded)
        calm_collector()

    def begin_to_stop() -> float:
        log.info("stopping: open requests end, then what is being sent")
        gateway.begin_to_stop()
        routes = gateway.active.routes
        answered = routes.answer_within + 1.0
        deadline.within(max(routes.shutdown_grace, answered) + _BEYOND_GRACE, "shutdown_grace is over")
        return answered

    routes = gateway.active.routes
    reloader = Reloader(routes.file, store=gateway.store, load=load, swap=swap, asked=asked)
    tasks = [asyncio.create_task(work) for work in (reloader.keep_reloading(), MemoryWatch().keep_watching())]
    calm_collector()
    url = _url(listening.getsockname(), routes.path)
    log.info(
        "listening",
        url=url,
        role=settings.role,
        routes=len(routes.routes),
        store=gateway.store.database.name,
        connections=gateway.connections.most,
    )
    if gateway.store.is_new:
        log.warning("the store is new and empty; if there should be one, [gateway] store names another place")
    try:
        await serve_until_told(gateway, listening, told=told, on_told=begin_to_stop, connections=gateway.connections)
    finally:
        for task in tasks:
            task.cancel()


def _refuse_unfit(routes: Routes, settings: ProcessSettings) -> None:
    """Refuse routes with which this process must not run, at start and at a reload."""
    if settings.role is not Role.BOTH and is_sqlite(routes.store):
        raise SettingsError(
            f"--role {settings.role} is for a store that several processes share, and {routes.store} is a file that "
            "one works with alone. Leave --role out, or put a PostgreSQL URL in [gateway] store"
        )
    if settings.role is Role.WORK or Authenticator(routes).secure:
        return
    if not settings.insecure:
        raise SettingsError(
            f"{routes.file}: no secret header is configured, so anybody who finds the URL could send notifications. "
            'Add [webhook] headers = { X-Webhook-Key = ["env:WEBHOOK_KEY"] } and the same header to the connection in '
            "doForms, or start with --insecure"
        )
    log.warning("no secret header is configured: whoever finds the URL can send notifications")


def _url(address: tuple[str, int], path: str) -> str:
    host, port = address[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"
