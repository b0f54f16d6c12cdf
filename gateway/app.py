"""The composition root: builds every part of a running gateway, and takes it down in the right order."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress

import structlog
from sqlalchemy.engine import make_url
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.delivery.backlog import Backlog
from gateway.delivery.calls import Calls
from gateway.delivery.current import Current
from gateway.delivery.decide import Decider
from gateway.delivery.fetch import FetchDesk
from gateway.delivery.outcomes import Outcomes
from gateway.delivery.pauses import Pauses
from gateway.delivery.pressure import Pressure
from gateway.delivery.report import Reporter
from gateway.delivery.worker import Worker
from gateway.errors import SettingsError
from gateway.http import build_client
from gateway.log import Mask
from gateway.models import Event
from gateway.routing.loaded import Routes
from gateway.settings import ProcessSettings
from gateway.store.store import Store
from gateway.web.authenticate import Authenticator
from gateway.web.health import Health
from gateway.web.receive import Receiver
from gateway.web.server import bind, serve_until_told

log = structlog.get_logger(__name__)

EVENT_PATHS = {
    "": None,
    "/added": Event.CREATE,
    "/edited": Event.UPDATE,
    "/deleted": Event.DELETE,
    "/status": Event.STATUS,
}
"""What stands behind the webhook's path, and the event it tells where the body does not."""


@asynccontextmanager
async def running(routes: Routes, *, mask: Mask) -> AsyncIterator[ASGIApp]:
    """Start everything that belongs to these routes and yield the web application.

    On leaving: what has not been sent is handed back, what is being sent gets ``shutdown_grace``, every answer is
    marked, the store is closed. The server must have ended before.

    Raises:
        StoreInUse, StoreTooNew, StoreError: the store cannot be used.
    """
    store = Store(routes.store, lease=routes.lease)
    await store.open()
    try:
        async with (
            build_client() as http,
            _parts(routes, store=store, calls=Calls(http, store), mask=mask) as application,
        ):
            yield application
    finally:
        await store.close()


@asynccontextmanager
async def _parts(routes: Routes, *, store: Store, calls: Calls, mask: Mask) -> AsyncIterator[ASGIApp]:
    current = Current(routes)
    outcomes = Outcomes()
    backlog = Backlog(store)
    pauses = Pauses(store)
    await pauses.mended()
    desk = FetchDesk(store=store, current=current, calls=calls, pauses=pauses)
    pressure = Pressure()
    reporter = Reporter(store=store, current=current, calls=calls, pauses=pauses)
    worker = Worker(
        store=store,
        current=current,
        desk=desk,
        pauses=pauses,
        outcomes=outcomes,
        reporter=reporter,
        pressure=pressure,
        mask=mask,
    )
    receiver = Receiver(
        current=current,
        store=store,
        worker=worker,
        decider=Decider(current=current, worker=worker, pauses=pauses),
        outcomes=outcomes,
        backlog=backlog,
        reporter=reporter,
        pressure=pressure,
    )
    health = Health(store=store, worker=worker)
    worker.start()
    reporter.start()
    counting = asyncio.create_task(backlog.keep_counted())
    try:
        yield _application(routes, receiver, health)
    finally:
        counting.cancel()
        with suppress(asyncio.CancelledError):
            await counting
        await worker.stop(routes.shutdown_grace)
        await receiver.finish()
        await reporter.stop()


def _application(routes: Routes, receiver: Receiver, health: Health) -> ASGIApp:
    webhook = {routes.path + suffix: receiver.endpoint(event) for suffix, event in EVENT_PATHS.items()}
    others = Starlette(routes=[Route("/healthz", health.alive), Route("/readyz", health.ready)])

    def front(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Receiving comes first: its paths need neither routing by pattern nor middleware."""
        application = webhook.get(scope["path"], others) if scope["type"] == "http" else others
        return application(scope, receive, send)

    return front


def calm_collector() -> None:
    """Keep Python's collector from going through everything that was loaded, again and again, while requests wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1000)


async def serve(routes: Routes, settings: ProcessSettings, *, mask: Mask) -> None:
    """Run the gateway until SIGTERM or SIGINT.

    Raises:
        SettingsError: no secret header is configured, or the address cannot be listened on.
        StoreError: the store cannot be used.
    """
    secure = Authenticator(routes).secure
    if not secure and not settings.insecure:
        raise SettingsError(
            f"{routes.file}: no secret header is configured, so anybody who finds the URL could send notifications. "
            'Add [webhook] headers = { X-Webhook-Key = ["env:WEBHOOK_KEY"] } and the same header to the connection in '
            "doForms, or start with --insecure"
        )
    with bind(settings.host, settings.port) as listening:
        async with running(routes, mask=mask) as application:
            host, port = listening.getsockname()[:2]
            store = make_url(routes.store).render_as_string()  # without its password
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}{routes.path}"
            if not secure:
                log.warning("no secret header is configured: whoever finds the URL can send notifications")
            calm_collector()
            await serve_until_told(
                application,
                listening,
                finish_within=routes.answer_within + 1.0,
                on_ready=lambda: log.info("listening", url=url, routes=len(routes.routes), store=store),
            )
    log.info("stopped")
