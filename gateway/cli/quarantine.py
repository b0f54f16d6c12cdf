"""``gateway quarantine``: authenticated bodies that were no notification."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.options import ROUTES, AsJson, Limit, RoutesFile, store
from gateway.cli.output import fail, print_fields, print_json, print_table, print_text
from gateway.store import quarantine
from gateway.store.quarantine import Entry

app = typer.Typer(help="Bodies that carried the secret but were no notification.", no_args_is_help=True)


@app.command("list")
def list_(routes: RoutesFile = ROUTES, limit: Limit = 50, json: AsJson = False) -> None:
    """List the bodies in quarantine, newest first."""
    with store(routes) as connection:
        found = quarantine.find(connection, limit=limit)
    if json:
        print_json([_data(entry) for entry in found])
        return
    print_table(
        ("id", "received", "why"),
        (
            (one.id, one.received, [one.reason, f"{len(one.body)} bytes to {one.path} from {one.client or 'unknown'}"])
            for one in found
        ),
        empty="Nothing is in quarantine.",
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
            ("why", entry.reason),
            ("bytes", len(entry.body)),
        )
    )
    print_text(entry.body.decode("utf-8", "backslashreplace"), title="The body as it came:")


def _data(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "received": entry.received.isoformat(),
        "path": entry.path,
        "client": entry.client,
        "reason": entry.reason,
        "body": entry.body.decode("utf-8", "backslashreplace"),
    }
