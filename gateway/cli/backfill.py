"""``gateway backfill``: find records of which no notification came, and let them in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.progress import Progress

from gateway.cli.bulk_actions import Yes, confirm
from gateway.cli.doforms_session import (
    SINCE,
    Calling,
    Until,
    calling,
    load_calling,
    period,
    webservice_named,
    why_no_later,
)
from gateway.cli.options import ROUTES, AsJson, RoutesFile
from gateway.cli.output import fail, local, print_json, print_table, stderr
from gateway.config.loaded import Routes, Webservice
from gateway.doforms.listing import ListedRecord
from gateway.models import Event
from gateway.reconcile.backfill import NotListed
from gateway.store.operator.retention import TOMBSTONE
from gateway.store.work.admit import AT_ONCE

_SHOWN = 20
"""Keys that are shown one by one."""


@dataclass(slots=True, kw_only=True)
class Backfilled:
    """What was found, and what was let in, as ``--json`` prints it."""

    webservice: str
    since: datetime
    until: datetime
    listed: int = 0
    known: int = 0
    unknown: int = 0
    let_in: int = 0
    keys: Sequence[str] = ()
    """Of those that are not known, the first ones."""
    warnings: list[str] = field(default_factory=list)
    why_no_later: str | None = None
    """Why it was not looked at what doForms received later, if nobody said so."""


def backfill(
    webservice: Annotated[str, typer.Option("--webservice", help="Its name in the routes file.", metavar="NAME")],
    since: Annotated[datetime, SINCE],
    until: Until = None,
    routes: RoutesFile = ROUTES,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be let in.")] = False,
    yes: Yes = False,
    json: AsJson = False,
) -> None:
    """Ask doForms what it received, and let in the records that no notification told of. `serve` may be running.

    They are delivered as if their creation had been told, each once, however often this is done.
    """
    if json and not (dry_run or yes):
        raise typer.BadParameter("a program cannot be asked: give --yes or --dry-run too", param_hint="--json")
    loaded = load_calling(routes)
    one = webservice_named(loaded, webservice)
    begin, end = period(loaded, since, until)
    found = Backfilled(webservice=one.name, since=begin, until=end)
    found.why_no_later = None if until else why_no_later(loaded)
    try:
        asyncio.run(_backfill(loaded, one, found, dry_run=dry_run, yes=yes))
    except NotListed as error:
        raise fail(f"{error}. {_so_far(found)}") from None
    except KeyboardInterrupt:
        stderr.print(f"Broken off. {_so_far(found)}.", highlight=False, soft_wrap=True)
        raise
    if json:
        print_json(found)
    elif not dry_run:
        typer.echo(f"Let in: {found.let_in}. A running gateway notices within a second.")


def _so_far(found: Backfilled) -> str:
    """Say what was done of an order that did not come to its end."""
    if not found.let_in:
        return "Nothing was let in; give the same order again later"
    return f"At least {found.let_in} of {found.unknown} were let in and stay; the same order again goes on from there"


async def _backfill(routes: Routes, webservice: Webservice, found: Backfilled, *, dry_run: bool, yes: bool) -> None:
    async with calling(routes) as caller:
        if (obstacle := caller.backfill.obstacle(webservice)) is not None:
            raise fail(obstacle)
        found.warnings += _forgotten(routes, found.since)
        unknown = await _look(caller, webservice, found)
        _preview(caller, webservice, found)
        if not dry_run and unknown:
            if not yes:
                confirm(f"Let in {found.unknown}?")
            await _let_in(caller, webservice, found, unknown)


def _forgotten(routes: Routes, since: datetime) -> list[str]:
    """Return the warning that the gateway may not know any more what it delivered."""
    remembered = datetime.now(UTC) - timedelta(seconds=routes.retention + TOMBSTONE)
    if since >= remembered:
        return []
    return [
        f"what was received before {local(remembered)} the gateway may have forgotten (`retention` and 30 days are "
        "over): records of that time that were delivered once count as unknown and are delivered again"
    ]


async def _look(caller: Calling, webservice: Webservice, found: Backfilled) -> list[ListedRecord]:
    """List the period; returns what is not known."""
    unknown: dict[str, ListedRecord] = {}
    whole = (found.until - found.since).total_seconds()
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task("Asking doForms", total=whole)
        async with aclosing(caller.backfill.compare(webservice, found.since, found.until)) as windows:
            async for window in windows:
                found.listed += len(window.listed)
                unknown |= {record.key: record for record in window.unknown}
                if window.doubt is not None:
                    found.warnings.append(window.doubt.text)
                progress.update(task, completed=(window.end - found.since).total_seconds())
    found.unknown, found.known = len(unknown), found.listed - len(unknown)
    found.keys = list(unknown)[:_SHOWN]
    return list(unknown.values())


def _preview(caller: Calling, webservice: Webservice, found: Backfilled) -> None:
    plan = caller.active.plan(webservice, Event.CREATE)
    stderr.print(
        f"{webservice.name}, received by doForms from {local(found.since)} to {local(found.until)}: {found.listed} "
        f"listed, {found.known} known, {found.unknown} not known.",
        highlight=False,
        soft_wrap=True,
    )
    if found.why_no_later is not None:
        stderr.print(f"Not later: {found.why_no_later}.", markup=False, highlight=False, soft_wrap=True)
    for warning in found.warnings:
        stderr.print(f"Mind: {warning}.", style="yellow", markup=False, highlight=False, soft_wrap=True)
    if found.unknown:
        rows = ([found.unknown, spec.destination, spec.route, spec.name] for spec in plan.deliveries)
        print_table(("at most", "destination", "route", "delivery"), rows, empty="They go nowhere.", to=stderr)
        more = f", … and {found.unknown - len(found.keys)} more" if found.unknown > len(found.keys) else ""
        stderr.print(f"Records: {', '.join(found.keys)}{more}", markup=False, highlight=False, soft_wrap=True)


async def _let_in(caller: Calling, webservice: Webservice, found: Backfilled, unknown: Sequence[ListedRecord]) -> None:
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task("Letting in", total=len(unknown))
        for start in range(0, len(unknown), AT_ONCE):
            part = unknown[start : start + AT_ONCE]
            found.let_in += len(await caller.backfill.let_in(webservice, part))
            progress.advance(task, len(part))
