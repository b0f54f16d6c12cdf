"""Turns filter options into the filter of notifications."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from gateway.cli.options import Error, Since, Until, choice_option
from gateway.cli.output import fail
from gateway.models import DeliveryState, Event
from gateway.store.operator.queries import BACKFILL, NOTIFICATION, find_notifications
from gateway.store.operator.views import NotificationFilter

CHOOSE: dict[str, Any] = {
    "webservice": Annotated[
        str | None, typer.Option("--webservice", help="Only of this web service (its name in the routes file).")
    ],
    "record_key": Annotated[
        str | None, typer.Option("--record", help="Only of the record with this key.", metavar="KEY")
    ],
    "event": Annotated[Event | None, choice_option(Event, "--event", help="Only this event.")],
    "kind": Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="Only what came (notification), or what was found by asking doForms (backfill).",
            metavar="KIND",
        ),
    ],
    "outcome": Annotated[
        str | None, typer.Option("--outcome", help="Only with this outcome: completed, failed or open.")
    ],
    "unmatched": Annotated[bool, typer.Option("--unmatched", help="Only those that no route matched.")],
    "route": Annotated[str | None, typer.Option("--route", help="Only with a delivery of this route.")],
    "destination": Annotated[
        str | None, typer.Option("--destination", help="Only with a delivery to this destination.")
    ],
    "state": Annotated[
        DeliveryState | None, choice_option(DeliveryState, "--state", help="Only with a delivery in this state.")
    ],
    "error": Error,
    "since": Since,
    "until": Until,
}
"""The options that choose notifications."""


def check_words(wanted: NotificationFilter) -> None:
    """End the command if a word of the options is none of those that there are."""
    if wanted.kind not in (None, NOTIFICATION, BACKFILL):
        raise fail(f"--kind {wanted.kind!r} is not known: {NOTIFICATION} or {BACKFILL}", status=2)
    if wanted.outcome not in (None, "completed", "failed", "open"):
        raise fail(f"--outcome {wanted.outcome!r} is not known: completed, failed or open", status=2)


def the_one(connection: Connection, key: str, webservice: str | None, *, deleted: bool = False) -> int:
    """Return the id of the notification with this key, or of the only one of the record with this key."""
    found = find_notifications(connection, NotificationFilter(key=key, webservice=webservice, deleted=deleted))
    if len(found) > 1:
        names = ", ".join(one.webservice or one.webservice_id for one in found)
        raise fail(f"several web services have sent the key {key!r}: {names}. Add --webservice NAME", status=2)
    if not found:
        found = find_notifications(connection, NotificationFilter(record_key=key, webservice=webservice))
        if len(found) > 1:
            raise fail(
                f"several notifications speak of the record {key!r}: `gateway notifications list --record {key}`"
            )
    if not found:
        raise fail(f"no notification with the key {key!r} is in the store; see `gateway notifications list`")
    return found[0].id
