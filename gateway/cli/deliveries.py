"""``gateway deliveries``: what went, goes or could not go to the destinations."""

from __future__ import annotations

import json as json_module
import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gateway.cli.options import ROUTES, AsJson, Limit, RoutesFile, Since, store
from gateway.cli.output import fail, local, print_fields, print_json, print_table, print_text, stdout
from gateway.models import DeliveryState
from gateway.store.queries import find_deliveries, show_delivery
from gateway.store.summaries import DeliveryDetails, DeliveryFilter, DeliverySummary

_ID = re.compile("[0-9]{1,18}")

app = typer.Typer(help="What went, goes or could not go to the destinations.", no_args_is_help=True)


@app.command("list")
def list_(
    routes: RoutesFile = ROUTES,
    notification: Annotated[str | None, typer.Option(help="Only of this notification.", metavar="KEY")] = None,
    record: Annotated[str | None, typer.Option(help="Only of the record with this key.", metavar="KEY")] = None,
    route: Annotated[str | None, typer.Option(help="Only of this route.")] = None,
    destination: Annotated[str | None, typer.Option(help="Only to this destination.")] = None,
    state: Annotated[DeliveryState | None, typer.Option(help="Only in this state.")] = None,
    since: Since = None,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """List deliveries, newest first."""
    wanted = DeliveryFilter(
        notification=notification,
        record_key=record,
        route=route,
        destination=destination,
        state=state,
        since=since,
        limit=limit,
    )
    with store(routes) as connection:
        found = find_deliveries(connection, wanted)
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
        raise fail(f"no delivery has the id or delivery key {which!r}; see `gateway deliveries list`")
    if json:
        print_json(details)
    else:
        _print(details)


def delivery_rows(found: Sequence[DeliverySummary], *, notification: bool = False) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and rows of a list of deliveries; ``notification`` tells whether to name theirs."""
    rows = [
        [
            one.id,
            _state(one),
            [_way(one), f"notification {one.notification}" if notification else None, _tries(one), _proof(one)],
        ]
        for one in found
    ]
    return ["id", "state", "delivery"], rows


def _way(one: DeliverySummary) -> str:
    name = f" ({one.name})" if one.name != one.destination else ""
    return f"{one.route} → {one.destination}{name}{'' if one.required else ', does not count'}"


def _tries(one: DeliverySummary) -> str | None:
    count = f"{one.attempts} {'attempt' if one.attempts == 1 else 'attempts'}"
    if one.due is None:
        return count if one.attempts > 1 else None
    return f"{count}, next {local(one.due)}" if one.attempts else f"next {local(one.due)}"


def _proof(one: DeliverySummary) -> str | None:
    """Return the receipt's summary, else the reason."""
    return one.receipt["summary"] if one.receipt else one.reason


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
            ("next", one.due),
            ("settled", one.settled),
            ("reason", one.reason),
            ("receipt", None if one.receipt is None else one.receipt["summary"]),
            ("details", None if one.receipt is None else json_module.dumps(one.receipt["details"], ensure_ascii=False)),
            ("delivery key", one.delivery_key),
            ("lane", f"{one.lane}, number {one.number}"),
        )
    )
    if one.history:
        stdout.print()
        print_table(
            ("attempt", "ended", "result", "reason"),
            ((each.number, each.ended, each.result, each.reason) for each in one.history),
            empty="",
        )
    if one.sent is not None:
        sent = json_module.dumps(one.sent, indent=2, ensure_ascii=False)
        print_text(sent, title="What is sent, as rendered at the first attempt:")
