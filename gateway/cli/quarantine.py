"""``gateway quarantine``: authenticated requests that could not be parsed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli.filter_options import choosing
from gateway.cli.lazy import LazyCommand, group_with
from gateway.cli.options import ROUTES, AsJson, Error, Limit, RoutesFile, Since, Until, choice_option, store
from gateway.cli.output import fail, print_fields, print_json, print_table, print_text
from gateway.errors import Misfit
from gateway.store.operator import quarantine
from gateway.store.operator.quarantine import Entry, QuarantineFilter

ORDERS = (
    LazyCommand(
        "replay",
        "gateway.cli.quarantine_orders:replay_",
        "Take bodies in after a mend, as if they had just come: those named, or those that fit.",
    ),
    LazyCommand(
        "drop",
        "gateway.cli.quarantine_orders:drop_",
        "Forget bodies in quarantine for good: those named, or those that fit.",
    ),
)

app = typer.Typer(
    help="Authenticated requests that are no notification: list, take in again.",
    cls=group_with(*ORDERS),
    no_args_is_help=True,
)

CHOOSE: dict[str, Any] = {
    "code": Annotated[Misfit | None, choice_option(Misfit, "--code", help="Only with this reason code.")],
    "error": Error,
    "since": Since,
    "until": Until,
}
"""The options that choose bodies."""


@app.command("list")
@choosing(CHOOSE | {"limit": Limit})
def list_(routes: RoutesFile = ROUTES, *, wanted: QuarantineFilter, json: AsJson = False) -> None:
    """List the bodies in quarantine, newest first."""
    with store(routes) as connection:
        found = quarantine.find(connection, wanted=wanted)
    if json:
        print_json([_data(entry) for entry in found])
        return
    print_table(
        ("id", "received", "why"),
        (
            (
                one.id,
                one.received,
                [f"{one.code}: {one.reason}", f"{_size(one)} to {one.path} from {one.client or 'unknown'}"],
            )
            for one in found
        ),
        empty="Nothing is in quarantine." if wanted == QuarantineFilter(limit=wanted.limit) else "Nothing fits.",
    )


@app.command()
def show(
    number: Annotated[int, typer.Argument(metavar="ID", min=1, max=2**62, help="The id that `quarantine list` shows.")],
    routes: RoutesFile = ROUTES,
    json: AsJson = False,
) -> None:
    """Show one body in quarantine as it came."""
    with store(routes) as connection:
        found = quarantine.find(connection, number=number)
    if not found:
        raise fail(f"nothing in quarantine has the id {number}; see `gateway quarantine list`")
    (entry,) = found
    if json:
        print_json(_data(entry))
        return
    print_fields(
        (
            ("id", entry.id),
            ("received", entry.received),
            ("path", entry.path),
            ("from", entry.client),
            ("code", entry.code),
            ("why", entry.reason),
            ("coding", entry.coding),
            ("bytes", _size(entry).removesuffix(" bytes")),
        )
    )
    print_text(entry.body.decode("utf-8", "backslashreplace"), title="The body as it came:")


def _size(entry: Entry) -> str:
    kept = len(entry.body)
    return f"{kept} bytes" if entry.full_size <= kept else f"the first {kept} of {entry.full_size} bytes"


def _data(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "received": entry.received.isoformat(),
        "path": entry.path,
        "client": entry.client,
        "code": entry.code,
        "reason": entry.reason,
        "coding": entry.coding,
        "bytes": max(entry.full_size, len(entry.body)),
        "body": entry.body.decode("utf-8", "backslashreplace"),
    }
