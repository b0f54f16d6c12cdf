"""``gateway destinations``: the places that deliveries go to, and holding them back for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer

from gateway.cli.loading import load_routes
from gateway.cli.options import ROUTES, AsJson, RoutesFile, store
from gateway.cli.output import fail, local, print_json, print_table
from gateway.config.diagnostics import suggest
from gateway.config.loaded import Routes
from gateway.pauses import Cause, Kind
from gateway.store.engine.transaction_time import ask, from_store
from gateway.store.operator import pauses
from gateway.store.operator.pauses import Pause
from gateway.store.operator.queries import find_standing
from gateway.store.operator.views import Standing

app = typer.Typer(help="Destinations: state, waiting deliveries; pause and resume.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name in the routes file.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A destination as a list shows it."""

    name: str
    plugin: str | None
    """None: it is not in the routes file (any more), but deliveries for it are in the store."""
    state: str
    """``ready``: it takes deliveries, as far as is known.

    ``opening``: the running gateway could not open it yet. ``down``: it answers nothing, or that it is not available.
    Both are tried again by themselves. ``paused``: it waits for a person, or for a time.
    """
    reason: str | None
    since: datetime | None
    """Since when it is paused, down, or could not be opened."""
    next_try: datetime | None
    """When it is tried again, or a pause ends by itself."""
    waiting: int
    put_off: str | None
    """Why one of those that wait was put off."""
    dead: int


@app.command("list")
def list_(routes: RoutesFile = ROUTES, json: AsJson = False) -> None:
    """List the destinations: whether they are paused, how many deliveries wait and why, and how many are dead."""
    loaded = load_routes(routes, secrets=False)
    with store(routes) as connection:
        standing = find_standing(connection)
        noted = pauses.list_pauses(connection)
    paused = {one.name: one for one in noted if one.kind == Kind.DESTINATION}
    unavailable = {one.name: one for one in noted if one.kind in (pauses.DOWN, pauses.OPENING)}
    names = sorted({*loaded.destinations, *standing})
    found = [
        _listed(name, loaded, standing.get(name, Standing()), paused.get(name), unavailable.get(name)) for name in names
    ]
    if json:
        print_json(found)
    else:
        print_table(("destination", "plugin", "waiting", "dead", "state"), _rows(found), empty="There is none.")


@app.command()
def pause(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why, for whoever looks.", metavar="TEXT")] = "paused by a person",
    routes: RoutesFile = ROUTES,
) -> None:
    """Hold back all deliveries to a destination until `destinations resume`; they are kept and wait in their order."""
    known = load_routes(routes, secrets=False).destinations
    if name not in known:
        raise fail(f"there is no destination {name!r}. {suggest(name, known, kind='destination')}")
    with store(routes, write=True) as connection:
        order = Pause(kind=Kind.DESTINATION, name=name, cause=Cause.ORDERED, reason=reason, since=ask(connection)[1])
        pauses.pause(connection, order)
    typer.echo(f"{name} is paused. A running gateway notices within a second; what is being sent now still ends.")


@app.command()
def resume(name: Name, routes: RoutesFile = ROUTES) -> None:
    """Let deliveries to a destination go on, whoever or whatever paused it."""
    with store(routes, write=True) as connection:
        was_paused = pauses.resume(connection, Kind.DESTINATION, name)
    if not was_paused:
        raise fail(f"the destination {name!r} is not paused; see `gateway destinations list`")
    typer.echo(f"{name} goes on. A running gateway notices within a second.")


def _listed(name: str, loaded: Routes, standing: Standing, paused: Pause | None, unavailable: Pause | None) -> Listed:
    entry = loaded.destinations.get(name)
    state = "not in the routes file" if entry is None else "ready" if entry.enabled else "switched off"
    why = paused or (unavailable if entry is not None and entry.enabled else None)
    return Listed(
        name=name,
        plugin=None if entry is None else entry.plugin,
        state="paused" if paused is not None else state if why is None else why.kind,
        reason=None if why is None else why.reason,
        since=None if why is None else from_store(why.since),
        next_try=None if why is None else from_store(why.until),
        waiting=standing.waiting,
        put_off=standing.reason,
        dead=standing.dead,
    )


def _rows(found: Sequence[Listed]) -> list[Sequence[object]]:
    return [
        [one.name, one.plugin, one.waiting, one.dead, [one.state, one.reason, _times(one), _put_off(one)]]
        for one in found
    ]


def _times(one: Listed) -> str | None:
    if one.state not in (pauses.OPENING, pauses.DOWN) or one.since is None:
        return None
    tried = "" if one.next_try is None else f", tried again at {local(one.next_try)}"
    return f"since {local(one.since)}{tried}"


def _put_off(one: Listed) -> str | None:
    if one.put_off is None or one.put_off == one.reason:
        return None
    return f"one waits because: {one.put_off}"
