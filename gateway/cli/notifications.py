"""``gateway notifications``: what came from doForms and what became of it."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.check_names import check_names
from gateway.cli.filter_options import choosing
from gateway.cli.lazy import LazyCommand, group_with
from gateway.cli.notification import body_of, print_notification, record_of, told
from gateway.cli.notification_filters import CHOOSE, check_words, the_one
from gateway.cli.options import ROUTES, AsJson, Limit, RoutesFile, store
from gateway.cli.output import fail, print_json, print_raw, print_table, stderr
from gateway.store.operator.queries import BACKFILL, find_notifications, show_notification
from gateway.store.operator.views import NotificationFilter, NotificationSummary

ORDERS = (
    LazyCommand(
        "replay",
        "gateway.cli.notification_orders:replay_",
        "Match unmatched notifications again with the routes file as it is now; of matched ones, send deliveries "
        "again.",
    ),
    LazyCommand(
        "drop",
        "gateway.cli.notification_orders:drop_",
        "Give up notifications: unmatched ones, and the deliveries of others that wait or are dead.",
    ),
)

app = typer.Typer(
    help="Notifications from doForms: list, show, replay, drop.", cls=group_with(*ORDERS), no_args_is_help=True
)


@app.command("list")
@choosing(CHOOSE | {"limit": Limit})
def list_(
    routes: RoutesFile = ROUTES,
    *,
    wanted: NotificationFilter,
    json: AsJson = False,
) -> None:
    """List notifications, newest first."""
    check_words(wanted)
    with store(routes) as connection:
        if not (found := find_notifications(connection, wanted)):
            check_names(routes, connection, wanted)
    if json:
        print_json(found)
        return
    print_table(
        ("received", "event", "outcome", "notification"),
        ((one.received, one.event, one.outcome or "open", [one.key, _about(one), _became(one)]) for one in found),
        empty="No notification fits.",
    )
    if not found:
        _hint(wanted)


@app.command()
def show(
    key: Annotated[str, typer.Argument(help="The notification key, or the key of a record that came once.")],
    routes: RoutesFile = ROUTES,
    webservice: Annotated[str | None, typer.Option(help="Its web service, where two use the same key.")] = None,
    body: Annotated[
        bool, typer.Option("--body", help="Only the body as it came: the PAYLOAD.json of `gateway explain`.")
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Only the record as it was fetched: what `gateway explain --record` takes.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Show everything about one notification: what came, what was fetched, each delivery, what doForms was told."""
    if body + record + json > 1:
        raise fail("--body, --record and --json print different things: give one of them", status=2)
    with store(routes) as connection:
        details = show_notification(connection, the_one(connection, key, webservice, deleted=True))
    assert details is not None, "it was there a moment ago, in the same transaction"
    if json:
        print_json(details)
    elif body:
        print_raw(body_of(details))
    elif record:
        print_raw(record_of(details))
    else:
        print_notification(details)


def _hint(wanted: NotificationFilter) -> None:
    """Say where to look next for a record of which nothing is kept."""
    if wanted.record_key is None or wanted != NotificationFilter(record_key=wanted.record_key, limit=wanted.limit):
        return
    stderr.print(
        "If it was refused, `gateway alarms`, `gateway quarantine list` or the log says so; `gateway reconcile --books "
        "--until 0s` tells whether doForms has it.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _about(one: NotificationSummary) -> str:
    form = one.form or one.webservice_id
    about = f"{form}, record {one.record_key}" if one.record_key else form
    return f"{about} (backfill)" if one.kind == BACKFILL else about


def _became(one: NotificationSummary) -> str:
    deliveries = ", ".join(f"{count} {state}" for state, count in one.deliveries.items())
    became = (deliveries or "no delivery") if one.matched else f"unmatched: {one.mode_reason}"
    return f"{became}; {how}" if (how := told(one)) else became
