"""``gateway quarantine replay`` and ``drop``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from gateway.cli.bulk_actions import Why, Yes, by, confirm, in_steps, tell
from gateway.cli.filter_options import choosing
from gateway.cli.loading import load_routes
from gateway.cli.options import ROUTES, AsJson, RoutesFile, store
from gateway.cli.output import fail, print_table, stderr
from gateway.cli.quarantine import CHOOSE
from gateway.store.operator import quarantine
from gateway.store.operator.actions import AT_ONCE, ActionResult, Actor
from gateway.store.operator.quarantine import QuarantineFilter
from gateway.web.take_in import take_in

Which = Annotated[
    list[int] | None,
    typer.Argument(metavar="[ID]...", min=1, max=2**62, help="Ids that `quarantine list` shows; or options."),
]
All = Annotated[bool, typer.Option("--all", help="Whatever is in quarantine.")]


@choosing(CHOOSE)
def replay_(
    which: Which = None,
    routes: RoutesFile = ROUTES,
    *,
    wanted: QuarantineFilter,
    all_: All = False,
    reason: Why = "",
    yes: Yes = False,
    json: AsJson = False,
) -> None:
    """Take bodies in after a mend, as if they had just come: those named, or those that fit.

    Each is read and decided upon with the gateway and the routes file as they are now, and leaves quarantine when it is
    kept or found to be a repeat. What is still no notification stays, with the reason.
    """
    loaded, who = load_routes(routes, secrets=False), by(reason)
    steps = _chosen(routes, which or [], wanted, everything=all_, what="Take in", yes=yes)
    tell(in_steps(routes, steps, lambda connection, ids: take_in(connection, ids, loaded, who)), json=json)


@choosing(CHOOSE)
def drop_(
    which: Which = None,
    routes: RoutesFile = ROUTES,
    *,
    wanted: QuarantineFilter,
    all_: All = False,
    reason: Why = "",
    yes: Yes = False,
    json: AsJson = False,
) -> None:
    """Forget bodies in quarantine for good: those named, or those that fit."""
    who = by(reason)
    steps = _chosen(routes, which or [], wanted, everything=all_, what="Forget", yes=yes)
    tell(in_steps(routes, steps, lambda connection, ids: _drop(connection, ids, who)), json=json)


def _drop(connection: Connection, ids: Sequence[int], who: Actor) -> list[ActionResult]:
    gone = set(quarantine.remove(connection, ids))
    return [
        ActionResult(
            id=number,
            notification="",
            route=None,
            destination=None,
            done=number in gone,
            text=f"forgotten {who}" if number in gone else "it is not in quarantine",
        )
        for number in ids
    ]


def _chosen(
    routes: Path, which: Sequence[int], wanted: QuarantineFilter, *, everything: bool, what: str, yes: bool
) -> list[list[int]]:
    """Return the ids that an order names, or of all that fit once a person has agreed, in steps."""
    fits = replace(wanted, limit=None) != QuarantineFilter(limit=None)
    if sum((bool(which), fits, everything)) != 1:
        problem = "several things say" if which or fits or everything else "nothing says"
        raise fail(f"{problem} which bodies: name ids, choose by options such as --code, or say --all", status=2)
    if which:
        return _steps(list(dict.fromkeys(which)))
    with store(routes) as connection:
        found = quarantine.find_ids(connection, wanted)
    if not found:
        raise fail("nothing that fits is in quarantine; see `gateway quarantine list`")
    counts = Counter((code, reason) for _, code, reason in found)
    rows = ([count, code, reason] for (code, reason), count in counts.most_common(20))
    print_table(("count", "code", "why"), rows, empty="", to=stderr)
    if not yes:
        confirm(f"{what} {len(found)}?")
    return _steps([number for number, _, _ in found])


def _steps(ids: Sequence[int]) -> list[list[int]]:
    return [list(ids[start : start + AT_ONCE]) for start in range(0, len(ids), AT_ONCE)]
