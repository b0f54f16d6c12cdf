"""``gateway prune``: delete now what ended long ago, as `gateway serve` does by itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.progress import Progress
from sqlalchemy import Connection

from gateway.attachments.spool import Spool
from gateway.attachments.sweep import sweep
from gateway.cli.loading import load_routes
from gateway.cli.options import ROUTES, AsJson, RoutesFile, store
from gateway.cli.output import fail, print_json, stderr
from gateway.config.load import spool_folder_of
from gateway.maintenance.clock import span
from gateway.store.engine.transaction_time import now
from gateway.store.operator.retention import Pruned, Step, count, first_step
from gateway.store.work import leaps
from gateway.store.work.attachments import files_of

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
        found = count(connection, moment=moment, older_than=age)
        doubt = _doubt(connection, moment)
    if json and not (dry_run or yes):
        raise typer.BadParameter("a program cannot be asked: give --yes or --dry-run too", param_hint="--json")
    if not json:
        typer.echo("Nothing is old enough." if found == Pruned() else f"To delete: {_say(found)}.")
    if doubt and found != Pruned():
        stderr.print(f"Mind: {doubt}.", style="yellow", markup=False, highlight=False, soft_wrap=True)
    if found != Pruned() and not dry_run:
        if doubt and yes:
            raise fail("nothing was deleted. If the clock is right, run it without --yes and confirm")
        if not yes:
            typer.confirm("Delete it?", abort=True)
        found = _delete(routes, found, moment=moment, age=age)
        asyncio.run(_sweep(routes))
        if not json:
            typer.echo(f"Deleted: {_say(found)}, {found.lanes} unused lanes.")
    if json:
        print_json(found)


def _doubt(connection: Connection, moment: int) -> str | None:
    """Say why the clock is not to be believed, by which ages are counted; None: it is."""
    if ahead := leaps.doubted_at(connection, moment):
        return (
            f"the clock is {span(ahead)} ahead of what it showed when the store was used last. If no gateway ran for "
            "so long, all is well; else the clock is wrong, and too much would be deleted"
        )
    if leaps.unsteady_for(connection):
        return "the clock has leapt within the last hour, see `gateway alarms --all`. Look whether it is right now"
    return None


def _delete(routes: RoutesFile, found: Pruned, *, moment: int, age: float) -> Pruned:
    """Delete step by step, each in a transaction of its own, so that `serve` never waits long."""
    step: Step | None = first_step(moment=moment, older_than=age)
    done = Pruned()
    with Progress(transient=True) as progress:
        task = progress.add_task("Deleting", total=found.notifications + found.tombstones)
        while step is not None:
            with store(routes, write=True) as connection:
                deleted, step = step(connection)
            progress.advance(task, deleted.notifications + deleted.tombstones)
            done += deleted
    return done


async def _sweep(routes: RoutesFile) -> None:
    """Remove the files of the attachments that were deleted."""

    async def belonging(names: Sequence[str]) -> set[str]:
        with store(routes) as connection:
            return files_of(connection, names)

    spool = Spool(spool_folder_of(routes), least_free=0)
    try:
        await sweep(spool, belonging)
    except OSError as error:
        raise fail(
            f"the spool {spool.root} could not be swept: {error}. `gateway serve` does it within an hour"
        ) from None


def _span(text: str) -> float:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no span such as 30d or 12h", param_hint="--older-than")
    return int(match[1]) * _SECONDS[match[2]]


def _say(what: Pruned) -> str:
    return (
        f"{what.notifications} notifications, {what.attachments} attachments, {what.tombstones} remembered keys, "
        f"{what.quarantine} bodies in quarantine, {what.alarms} cleared alarms"
    )
