"""``gateway alarms``: what needs a person."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.options import ROUTES, AsJson, RoutesFile, store
from gateway.cli.output import local, print_json, print_table
from gateway.store.alarms import Alarm, list_alarms


def alarms(
    routes: RoutesFile = ROUTES,
    all_: Annotated[bool, typer.Option("--all", help="Those whose cause has ended too.")] = False,
    json: AsJson = False,
) -> None:
    """List the alarms that are raised: what needs a person, newest first."""
    with store(routes) as connection:
        found = list_alarms(connection, cleared=all_)
    if json:
        print_json(found)
        return
    print_table(
        ("raised", "alarm"),
        ((one.raised, [f"{one.kind}: {one.subject}", one.text, _cleared(one)]) for one in found),
        empty="No alarm is raised.",
    )


def _cleared(one: Alarm) -> str | None:
    return None if one.cleared is None else f"cleared {local(one.cleared)}"
