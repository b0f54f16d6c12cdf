"""Opens the store and a client for commands that call doForms themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from gateway.calls.client import AccountClient
from gateway.cli.loading import load_with
from gateway.cli.options import store, time_option
from gateway.cli.output import fail, local
from gateway.cli.speaking import set_up_logging
from gateway.config.diagnostics import suggest
from gateway.config.durations import say_duration
from gateway.config.loaded import Reconcile, Routes, Webservice
from gateway.doforms.listing_walk import aligned
from gateway.http import build_client
from gateway.log import Mask
from gateway.pauses import Pauses
from gateway.reconcile.backfill import Backfill
from gateway.routing.active import ActiveRoutes
from gateway.store.store import Store

SINCE = time_option(
    "--since", "What doForms received since: a time such as 2026-01-31T08:00Z, or how long ago such as 3d."
)
Until = Annotated[
    datetime | None,
    time_option("--until", "What doForms received before: a time, or how long ago. Left out: `grace` ago."),
]

_LEAST = timedelta(minutes=1)
"""A shorter time, its end left out, was not meant: `--since 1h` where `grace` is an hour leaves a blink."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """The store, and what compares it with doForms."""

    routes: Routes
    store: Store
    active: ActiveRoutes
    backfill: Backfill


def rules(routes: Routes) -> Reconcile:
    """Return what ``[reconcile]`` says, or would say by default."""
    return routes.reconcile or Reconcile()


def closed(routes: Routes) -> datetime:
    """Return up to when all that doForms received should be here, if nothing was lost."""
    return datetime.now(UTC) - timedelta(seconds=rules(routes).grace)


def period(routes: Routes, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """Return from when to when doForms is asked; left out: as the rules say. Ends the command if that is no time."""
    now = datetime.now(UTC)
    begin = aligned(since or now - timedelta(seconds=rules(routes).lookback))
    end = aligned(min(until or closed(routes), now))
    if end - begin < (timedelta.resolution if until else _LEAST):
        remedy = (
            "--since must be before --until"
            if until
            else f"{why_no_later(routes)}, or --since a time before {local(end)}"
        )
        raise fail(f"there is no time from {local(begin)} to {local(end)} to ask for: {remedy}", status=2)
    return begin, end


def why_no_later(routes: Routes) -> str:
    """Say up to when doForms is asked where no ``--until`` was given, why not later, and what to give for that."""
    grace = say_duration(rules(routes).grace)
    return (
        f"without --until nothing is looked at that doForms received in the last {grace} (`grace`), since "
        "notifications of it may still come. To look up to now, give --until 0s"
    )


def load_calling(file: Path) -> Routes:
    """Load a routes file with the passwords of web services; no destination's secret is looked up."""
    routes = load_with(file, secrets=False, calls=True)
    set_up_logging("ERROR")  # what goes wrong is printed; the log would tell it twice
    with store(file):  # it is there, and of this gateway
        return routes


def _mask_of(routes: Routes) -> Mask:
    mask = Mask()
    mask.learn(routes.secrets)
    return mask


@asynccontextmanager
async def calling(routes: Routes) -> AsyncIterator[Calling]:
    """Open the store beside a gateway that may be at work on it, and a client for doForms."""
    opened = Store(routes.store, lease=routes.lease)
    await opened.open(beside=True)
    try:
        async with build_client() as http, aclosing(AccountClient(http, opened, mask=_mask_of(routes))) as calls:
            active, pauses = ActiveRoutes(routes), Pauses(opened)
            await pauses.refresh()
            backfill = Backfill(store=opened, active=active, calls=calls, pauses=pauses)
            yield Calling(routes=routes, store=opened, active=active, backfill=backfill)
    finally:
        await opened.close()


def webservice_named(routes: Routes, name: str) -> Webservice:
    """Find a web service by its name in the routes file."""
    known = {one.name: one for one in routes.webservices.values()}
    if name not in known:
        raise fail(f"there is no web service {name!r}. {suggest(name, known, kind='web service')}", status=2)
    return known[name]
