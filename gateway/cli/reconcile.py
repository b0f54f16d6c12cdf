"""``gateway reconcile``: one round now, or the books of a period."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.progress import Progress

from gateway.cli.doforms_session import (
    SINCE,
    Calling,
    Until,
    calling,
    closed,
    load_calling,
    period,
    rules,
    webservice_named,
    why_no_later,
)
from gateway.cli.options import ROUTES, AsJson, RoutesFile
from gateway.cli.output import fail, local, print_json, print_table, say, stderr
from gateway.config.loaded import Routes, Webservice
from gateway.models import DeliveryState, Event
from gateway.reconcile.completeness import LIMITS, Completeness, balance
from gateway.reconcile.rounds import Reconciler, Round
from gateway.store.operator.completeness import ORDER


def reconcile(
    routes: RoutesFile = ROUTES,
    books: Annotated[
        bool, typer.Option("--books", help="Only compare, and print the books of a period; nothing is let in.")
    ] = False,
    webservice: Annotated[
        str | None, typer.Option("--webservice", help="Only this web service; left out: each.", metavar="NAME")
    ] = None,
    since: Annotated[datetime | None, SINCE] = None,
    until: Until = None,
    json: AsJson = False,
) -> None:
    """Ask doForms what it received as far back as `lookback`, and let in the records that no notification told of.

    That is a round as `gateway serve` makes them, at once. With --books nothing is changed: for a period it is told
    what doForms lists, what is kept here, where it went and what is missing. Exit status 1 if something is amiss.
    """
    if not books and (since or until):
        raise typer.BadParameter("a period is for --books; `gateway backfill --since` lets in what is missing in one")
    loaded = load_calling(routes)
    wanted = list(loaded.webservices.values()) if webservice is None else [webservice_named(loaded, webservice)]
    if books:
        _tell_books(asyncio.run(_books(loaded, wanted, since, until, named=webservice is not None)), json=json)
    else:
        _tell_rounds(*asyncio.run(_rounds(loaded, wanted, named=webservice is not None)), json=json)


async def _rounds(routes: Routes, wanted: Sequence[Webservice], *, named: bool) -> tuple[list[Round], bool]:
    """Make the rounds; returns them, and whether others were being made by somebody else."""
    made: list[Round] = []
    busy = False
    async with calling(routes) as caller:
        reconciler = Reconciler(store=caller.store, active=caller.active, backfill=caller.backfill)
        for one in wanted:
            if (obstacle := caller.backfill.obstacle(one)) is not None:
                if named:
                    raise fail(obstacle)
                continue
            done = await reconciler.round(one, rules(routes))
            if done is None:
                fail(f"{one.name} is being reconciled at this moment, by a gateway or another command")
                busy = True
            else:
                made.append(done)
    return made, busy


def _tell_rounds(made: Sequence[Round], busy: bool, *, json: bool) -> None:
    if json:
        print_json(made)
    else:
        print_table(
            ("web service", "from", "to", "listed", "let in"),
            ([one.webservice, one.begin, one.end, one.listed, one.let_in] for one in made),
            empty="" if busy else "No web service has both a password and a route that takes new records.",
        )
        for one in made:
            if (amiss := one.broke_off or one.doubt) is not None:
                say(f"{one.webservice}: {amiss}.")
    if busy or any(one.broke_off or one.doubt for one in made):
        raise typer.Exit(1)


async def _books(
    routes: Routes, wanted: Sequence[Webservice], since: datetime | None, until: datetime | None, *, named: bool
) -> list[Completeness]:
    async with calling(routes) as caller:
        begin, end = period(routes, since, until)
        if until is None:
            stderr.print(f"Not later: {why_no_later(routes)}.", markup=False, highlight=False, soft_wrap=True)
        left_out = [] if named else [one for one in wanted if not caller.active.plan(one, Event.CREATE).routes]
        for one in left_out:
            stderr.print(f"Left out: no route takes new records of {one.name}.", markup=False, highlight=False)
        return [await _one(caller, one, begin, end) for one in wanted if one not in left_out]


async def _one(caller: Calling, webservice: Webservice, begin: datetime, end: datetime) -> Completeness:
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task(webservice.name, total=(end - begin).total_seconds())

        def show(upto: datetime) -> None:
            progress.update(task, completed=(upto - begin).total_seconds())

        return await balance(
            caller.backfill, caller.store, webservice, begin, end, closed=closed(caller.routes), on_progress=show
        )


def _tell_books(made: Sequence[Completeness], *, json: bool) -> None:
    if json:
        print_json(made)
    else:
        for one in made:
            _print(one)
        say(LIMITS)
    if not all(one.complete for one in made):
        raise typer.Exit(1)


def _print(one: Completeness) -> None:
    say(f"{one.webservice}, received by doForms from {local(one.since)} to {local(one.until)}:")
    say(f"  listed at doForms {one.listed}, kept here {one.kept}, missing {one.missing}")
    if one.unmatched:
        say(f"  taken by no route: {one.unmatched} of those kept")
    for destination, states in sorted(one.destinations.items()):
        counts = ", ".join(f"{states[state.value]} {state.value}" for state in ORDER if state.value in states)
        say(f"  {destination}: {counts}")
    if one.missing:
        more = f", … and {one.missing - len(one.missing_keys)} more" if one.missing > len(one.missing_keys) else ""
        say(f"  missing: {', '.join(one.missing_keys)}{more}")
        say(f"  `{_letting_in(one)}` lets them in")
    if any(states.get(DeliveryState.DEAD.value) for states in one.destinations.values()):
        say("  `gateway deliveries list --state dead` says why those are dead")
    for doubt in one.doubts:
        say(f"  mind: {doubt}.")
    say(f"  {one.verdict[:1].upper()}{one.verdict[1:]}.\n")


def _letting_in(one: Completeness) -> str:
    """Return the command for the period, in whole seconds that hold all of it."""
    end = one.until + timedelta(seconds=1, microseconds=-1)
    since, until = (f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for moment in (one.since, end))
    return f"gateway backfill --webservice {shlex.quote(one.webservice)} --since {since} --until {until}"
