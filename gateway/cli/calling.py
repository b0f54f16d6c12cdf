"""Commands that call doForms themselves, beside a gateway or without one: what they need, opened and closed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.options import store
from gateway.cli.output import fail
from gateway.delivery.backfill import Backfill
from gateway.delivery.calls import Calls
from gateway.delivery.current import Current
from gateway.delivery.pauses import Pauses
from gateway.destinations.context import make_context
from gateway.destinations.registry import load_registry
from gateway.http import build_client
from gateway.log import Mask, configure
from gateway.routing.load import load
from gateway.routing.loaded import Reconcile, Routes, Webservice
from gateway.routing.problems import suggest
from gateway.settings import LogFormat
from gateway.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """The store, and what compares it with doForms."""

    routes: Routes
    store: Store
    current: Current
    backfill: Backfill

    @property
    def rules(self) -> Reconcile:
        """What ``[reconcile]`` says, or would say by default."""
        return self.routes.reconcile or Reconcile()


def load_calling(file: Path) -> Routes:
    """Load a routes file with the passwords of web services; no destination's secret is looked up."""
    routes = load(file, load_registry(), make_context=make_context, environ=os.environ, secrets=False, calls=True)
    mask = Mask()
    mask.learn(routes.secrets)
    configure(LogFormat.CONSOLE, "ERROR", mask)  # what goes wrong is printed; the log would tell it twice
    with store(file):  # it is there, and of this gateway
        return routes


@asynccontextmanager
async def calling(routes: Routes) -> AsyncIterator[Calling]:
    """Open the store beside a gateway that may be at work on it, and a client for doForms."""
    opened = Store(routes.store, lease=routes.lease)
    await opened.open(beside=True)
    try:
        async with build_client() as http:
            current, pauses = Current(routes), Pauses(opened)
            await pauses.refresh()
            backfill = Backfill(store=opened, current=current, calls=Calls(http, opened), pauses=pauses)
            yield Calling(routes=routes, store=opened, current=current, backfill=backfill)
    finally:
        await opened.close()


def webservice_named(routes: Routes, name: str) -> Webservice:
    """Find a web service by its name in the routes file."""
    known = {one.name: one for one in routes.webservices.values()}
    if name not in known:
        raise fail(f"there is no web service {name!r}. {suggest(name, known, kind='web service')}", status=2)
    return known[name]
