"""``gateway alarms``: causes that a person must mend."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.options import ROUTES, AsJson, RoutesFile, store
from gateway.cli.output import fail, local, print_json, print_table
from gateway.store.work.alarms import Alarm, clear_by_id, list_alarms

app = typer.Typer(invoke_without_command=True)


@app.callback()
def list_(
    context: typer.Context,
    routes: RoutesFile = ROUTES,
    all_: Annotated[bool, typer.Option("--all", help="Those whose cause has ended too.")] = False,
    json: AsJson = False,
) -> None:
    """List the alarms that are raised, newest first: causes that a person must mend. Each is cleared when that ends.

    A delivery that is dead raises none by itself: see `gateway deliveries list --state dead`.
    """
    if context.invoked_subcommand is not None:
        return
    with store(routes) as connection:
        found = list_alarms(connection, cleared=all_)
    if json:
        print_json(found)
        return
    print_table(
        ("id", "raised", "alarm"),
        ((one.id, one.raised, [f"{one.kind}: {one.subject}", one.text, _again(one), _cleared(one)]) for one in found),
        empty="No alarm is raised.",
    )


@app.command()
def clear(
    id_: Annotated[int, typer.Argument(metavar="ID", help="Its number in `gateway alarms`.")],
    routes: RoutesFile = ROUTES,
) -> None:
    """Clear an alarm by hand, where nothing more can be done about its cause. It is raised again if that recurs."""
    with store(routes, write=True) as connection:
        was_raised = clear_by_id(connection, id_)
    if not was_raised:
        raise fail(f"no alarm with the id {id_} is raised; see `gateway alarms`")
    typer.echo(f"Alarm {id_} is cleared.")


def _again(one: Alarm) -> str | None:
    return None if one.times == 1 else f"{one.times} times, last {local(one.last)}"


def _cleared(one: Alarm) -> str | None:
    return None if one.cleared is None else f"cleared {local(one.cleared)}"
