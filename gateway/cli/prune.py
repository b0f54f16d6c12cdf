"""``gateway prune``: delete now what ended long ago, as `gateway serve` does by itself."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from rich.progress import Progress

from gateway.cli.options import ROUTES, AsJson, RoutesFile, load_routes, store
from gateway.cli.output import print_json
from gateway.store import retention
from gateway.store.clock import micros, now
from gateway.store.retention import Pruned
from gateway.store.unused_lanes import prune_lanes

_SPAN = re.compile(r"(\d+)([hd])")
_SECONDS = {"h": 3600.0, "d": 86400.0}


def prune(
    routes: RoutesFile = ROUTES,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="What ended longer ago than this, such as 30d or 12h. Else `retention`."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be deleted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: AsJson = False,
) -> None:
    """Delete notifications that ended long ago, with old quarantine and cleared alarms. `serve` may be running.

    What has not ended stays, however old. The key of a deleted notification is remembered for 30 days.
    """
    age = load_routes(routes, secrets=False).retention if older_than is None else _span(older_than)
    moment = now()
    with store(routes) as connection:
        found = retention.count(connection, moment=moment, older_than=age)
    if json and not (dry_run or yes):
        raise typer.BadParameter("a program cannot be asked: give --yes or --dry-run too", param_hint="--json")
    if not json:
        typer.echo("Nothing is old enough." if found == Pruned() else f"To delete: {_say(found)}.")
    if found != Pruned() and not dry_run:
        if not yes:
            typer.confirm("Delete it?", abort=True)
        found = _delete(routes, found, moment=moment, age=age)
        if not json:
            typer.echo(f"Deleted: {_say(found)}, {found.lanes} unused lanes.")
    if json:
        print_json(found)


def _delete(routes: RoutesFile, found: Pruned, *, moment: int, age: float) -> Pruned:
    """Delete batch by batch, each in a transaction of its own, so that `serve` never waits long."""
    with store(routes, write=True) as connection:
        done = retention.prune_others(connection, moment=moment, older_than=age)
    after: int | None = 0
    with Progress(transient=True) as progress:
        task = progress.add_task("Deleting", total=found.notifications + found.tombstones)
        while after is not None:
            with store(routes, write=True) as connection:
                batch, after = retention.prune(connection, after=after, moment=moment, older_than=age)
            progress.advance(task, batch.notifications + batch.tombstones)
            done += batch
    lanes: int | None = 0
    while lanes is not None:
        with store(routes, write=True) as connection:
            deleted, lanes = prune_lanes(connection, after=lanes, before=moment - micros(age))
        done += Pruned(lanes=deleted)
    return done


def _span(text: str) -> float:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no span such as 30d or 12h", param_hint="--older-than")
    return int(match[1]) * _SECONDS[match[2]]


def _say(what: Pruned) -> str:
    return (
        f"{what.notifications} notifications, {what.tombstones} remembered keys, "
        f"{what.quarantine} bodies in quarantine, {what.alarms} cleared alarms"
    )
