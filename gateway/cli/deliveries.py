"""``gateway deliveries``: what went, goes or could not go to the destinations."""

from __future__ import annotations

import json as json_module
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from gateway.cli.advice import obstacle, to_do, tries, when
from gateway.cli.attachments import print_attachments
from gateway.cli.bulk_actions import (
    Force,
    Overtaken,
    Refetch,
    Render,
    Why,
    Yes,
    ask,
    by,
    carry_out,
    replaying,
    tell,
)
from gateway.cli.check_names import check_names
from gateway.cli.filter_options import choosing
from gateway.cli.options import ROUTES, AsJson, Error, Limit, RoutesFile, Since, Until, choice_option, store
from gateway.cli.output import fail, print_fields, print_json, print_table, print_text, stdout
from gateway.models import DeliveryState
from gateway.store.operator.drop import drop
from gateway.store.operator.queries import find_candidate, find_candidates, find_deliveries, show_delivery
from gateway.store.operator.replay import replay
from gateway.store.operator.views import Candidate, DeliveryDetails, DeliveryFilter, DeliverySummary

_ID = re.compile("[0-9]{1,18}")

app = typer.Typer(help="Deliveries to destinations: list, show, replay, drop.", no_args_is_help=True)


CHOOSE: dict[str, Any] = {
    "notification": Annotated[
        str | None, typer.Option("--notification", help="Only of this notification.", metavar="KEY")
    ],
    "record_key": Annotated[
        str | None, typer.Option("--record", help="Only of the record with this key.", metavar="KEY")
    ],
    "route": Annotated[str | None, typer.Option("--route", help="Only of this route.")],
    "destination": Annotated[str | None, typer.Option("--destination", help="Only to this destination.")],
    "state": Annotated[DeliveryState | None, choice_option(DeliveryState, "--state", help="Only in this state.")],
    "lacking": Annotated[
        bool,
        typer.Option(
            "--attachment-missing",
            help="Only those that were delivered without a photo or file that could not be downloaded.",
        ),
    ],
    "error": Error,
    "since": Since,
    "until": Until,
}
"""The options that choose deliveries."""

Which = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Ids or delivery keys; or options that say which.")
]


@app.command("list")
@choosing(CHOOSE | {"limit": Limit})
def list_(
    routes: RoutesFile = ROUTES,
    *,
    wanted: DeliveryFilter,
    json: AsJson = False,
) -> None:
    """List deliveries, newest first."""
    with store(routes) as connection:
        if not (found := find_deliveries(connection, wanted)):
            check_names(routes, connection, wanted)
    if json:
        print_json(found)
    else:
        print_table(*delivery_rows(found, notification=True), empty="No delivery fits.")


@app.command()
def show(
    which: Annotated[
        str, typer.Argument(metavar="ID", help="The id that `deliveries list` shows, or the delivery key.")
    ],
    routes: RoutesFile = ROUTES,
    json: AsJson = False,
) -> None:
    """Show everything about one delivery: its attempts, what was sent, its receipt or the reason why it is dead."""
    with store(routes) as connection:
        details = show_delivery(connection, int(which)) if _ID.fullmatch(which) else None
        details = details or show_delivery(connection, key=which)
    if details is None:
        raise _not_there(which)
    if json:
        print_json(details)
    else:
        _print(details)


@app.command("replay")
@choosing(CHOOSE)
def replay_(
    which: Which = None,
    routes: RoutesFile = ROUTES,
    *,
    wanted: DeliveryFilter,
    render: Render = False,
    refetch: Refetch = False,
    force: Force = False,
    overtaken: Overtaken = False,
    reason: Why = "",
    yes: Yes = False,
    json: AsJson = False,
) -> None:
    """Send deliveries again: those named, or those that fit (the dead ones, if no state is given).

    With --attachment-missing it is the delivered ones that fit, which need --force.

    What was given up or is in doubt goes again as it was, under its old key; what was rejected, skipped or dropped is
    rendered anew. Each keeps its place in the line of its record.
    """
    order = replaying(reason=reason, render=render, refetch=refetch, force=force, overtaken=overtaken)
    found = _chosen(routes, which or [], wanted, what="Send again", yes=yes)
    tell(carry_out(routes, found, lambda connection, ids: replay(connection, ids, order)), json=json)


@app.command("drop")
@choosing({name: option for name, option in CHOOSE.items() if name != "lacking"})
def drop_(
    which: Which = None,
    routes: RoutesFile = ROUTES,
    *,
    wanted: DeliveryFilter,
    reason: Why = "",
    yes: Yes = False,
    json: AsJson = False,
) -> None:
    """Give up deliveries that wait or are dead: those named, or those that fit (the dead ones, if no state is given).

    A dropped delivery counts as failed; it can still be replayed.
    """
    who = by(reason)
    found = _chosen(routes, which or [], wanted, what="Drop", yes=yes)
    tell(carry_out(routes, found, lambda connection, ids: drop(connection, ids, who)), json=json)


def _chosen(routes: Path, which: Sequence[str], wanted: DeliveryFilter, *, what: str, yes: bool) -> list[Candidate]:
    """Return the deliveries that an order names, or those that fit, once a person has agreed."""
    wanted = replace(wanted, limit=None)
    fits = wanted != DeliveryFilter(limit=None)
    if bool(which) == fits:
        problem = "ids and options that choose were both given" if fits else "nothing says which deliveries"
        raise fail(f"{problem}: name ids, or choose by options such as --destination and --error", status=2)
    with store(routes) as connection:
        if which:
            return [_named(connection, each) for each in which]
        state = wanted.state or (DeliveryState.DELIVERED if wanted.lacking else DeliveryState.DEAD)
        found = find_candidates(connection, replace(wanted, state=state))
        if not found:
            check_names(routes, connection, wanted)
    if not found:
        raise fail(f"no delivery fits that is {state}; see `gateway deliveries list`")
    ask(what, found, yes=yes)
    return found


def _named(connection: Connection, which: str) -> Candidate:
    found = find_candidate(connection, int(which)) if _ID.fullmatch(which) else None
    found = found or find_candidate(connection, key=which)
    if found is None:
        raise _not_there(which)
    return found


def _not_there(which: str) -> typer.Exit:
    return fail(f"no delivery has the id or delivery key {which!r}; see `gateway deliveries list`")


def delivery_rows(found: Sequence[DeliverySummary], *, notification: bool = False) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and rows of a list of deliveries; ``notification`` tells whether to name theirs."""
    rows = [
        [
            one.id,
            _state(one),
            [
                _way(one),
                f"notification {one.notification}" if notification else None,
                tries(one),
                obstacle(one),
                _proof(one),
            ],
        ]
        for one in found
    ]
    return ["id", "state", "delivery"], rows


def _way(one: DeliverySummary) -> str:
    name = f" ({one.name})" if one.name != one.destination else ""
    return f"{one.route} → {one.destination}{name}{'' if one.required else ', does not count'}"


def _proof(one: DeliverySummary) -> str | None:
    """Return the receipt's summary, else the reason, unless that is what its destination is paused for."""
    if one.receipt:
        summary: str = one.receipt["summary"]
        return summary
    return None if one.pause is not None and one.pause == one.reason else one.reason


def _state(one: DeliverySummary) -> str:
    return f"{one.state} (in doubt)" if one.in_doubt else one.state


def _print(one: DeliveryDetails) -> None:
    print_fields(
        (
            ("id", one.id),
            ("notification", one.notification),
            ("route", one.route),
            ("delivery", one.name),
            ("to", one.destination),
            ("required", one.required),
            ("state", _state(one)),
            ("attempts", one.attempts),
            when(one) or ("next", None),
            ("now", obstacle(one)),
            ("settled", one.settled),
            ("reason", one.reason),
            ("to do", to_do(one)),
            ("receipt", None if one.receipt is None else one.receipt["summary"]),
            ("details", None if one.receipt is None else json_module.dumps(one.receipt["details"], ensure_ascii=False)),
            ("delivery key", one.delivery_key),
            ("lane", f"{one.lane}, number {one.number}"),
        )
    )
    if one.history:
        stdout.print()
        print_table(
            ("attempt", "when", "result", "reason"),
            ((each.number or "-", each.ended, each.result, each.reason) for each in one.history),
            empty="",
        )
    print_attachments(one.attachments)
    if one.sent is not None:
        sent = json_module.dumps(one.sent, indent=2, ensure_ascii=False)
        print_text(sent, title="What is sent, as rendered at the first attempt:")
