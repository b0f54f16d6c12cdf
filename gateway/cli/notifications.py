"""``gateway notifications``: what came from doForms and what became of it."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.deliveries import delivery_rows
from gateway.cli.options import ROUTES, AsJson, Limit, RoutesFile, Since, store
from gateway.cli.output import fail, print_fields, print_json, print_table, stdout
from gateway.models import Event
from gateway.store.queries import find_notifications, show_notification
from gateway.store.summaries import NotificationDetails, NotificationFilter, NotificationSummary

app = typer.Typer(help="What came from doForms and what became of it.", no_args_is_help=True)


@app.command("list")
def list_(
    routes: RoutesFile = ROUTES,
    webservice: Annotated[
        str | None, typer.Option(help="Only of this web service (its name in the routes file).")
    ] = None,
    record: Annotated[str | None, typer.Option(help="Only of the record with this key.", metavar="KEY")] = None,
    event: Annotated[Event | None, typer.Option(help="Only this event.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Only with this outcome: completed, failed or open.")] = None,
    unmatched: Annotated[bool, typer.Option("--unmatched", help="Only those that no route matched.")] = False,
    since: Since = None,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """List notifications, newest first."""
    if outcome not in (None, "completed", "failed", "open"):
        raise fail(f"--outcome {outcome!r} is not known: completed, failed or open", status=2)
    wanted = NotificationFilter(
        webservice=webservice,
        record_key=record,
        event=event,
        outcome=outcome,
        unmatched=unmatched,
        since=since,
        limit=limit,
    )
    with store(routes) as connection:
        found = find_notifications(connection, wanted)
    if json:
        print_json(found)
        return
    print_table(
        ("received", "key", "form", "event", "record", "mode", "deliveries", "outcome", "told by"),
        (
            (
                one.received,
                one.key,
                one.form or one.webservice_id,
                one.event,
                one.record_key,
                one.mode if one.matched else "unmatched",
                one.deliveries,
                one.outcome or "open",
                told_by(one),
            )
            for one in found
        ),
        empty="No notification fits.",
    )


@app.command()
def show(
    key: Annotated[str, typer.Argument(help="The notification key.")],
    routes: RoutesFile = ROUTES,
    webservice: Annotated[str | None, typer.Option(help="Its web service, where two use the same key.")] = None,
    json: AsJson = False,
) -> None:
    """Show everything about one notification: what came, what was fetched, each delivery, what doForms was told."""
    with store(routes) as connection:
        found = find_notifications(connection, NotificationFilter(key=key, webservice=webservice))
        if len(found) > 1:
            names = ", ".join(one.webservice or one.webservice_id for one in found)
            raise fail(f"several web services have sent the key {key!r}: {names}. Add --webservice NAME", status=2)
        details = show_notification(connection, found[0].id) if found else None
    if details is None:
        raise fail(f"no notification with the key {key!r} is in the store; see `gateway notifications list`")
    if json:
        print_json(details)
    else:
        _print(details)


def told_by(one: NotificationSummary) -> str:
    """Say in a few words how doForms hears the outcome."""
    words = {
        "answered": "answer",
        "reported": "PUT",
        "due": "PUT due",
        "open": "",
        "none": "nobody asks",
        "gone": "not told: doForms does not know it any more",
        "refused": "not told: doForms refused the report",
        "given up": "not told: given up",
    }
    return words.get(one.report, one.report)


def _print(one: NotificationDetails) -> None:
    answers = {None: "200, empty", "": "200, empty"}
    print_fields(
        (
            ("key", one.key),
            ("web service", f"{one.webservice or 'not in the routes file'} ({one.webservice_id})"),
            ("form", one.form),
            ("project", one.project),
            ("account", one.account),
            ("event", one.event),
            ("record", one.record_key),
            ("created", one.created),
            ("received", one.received),
            ("repeats", one.repeats or None),
            ("matched", None if one.matched else "no"),
            ("mode", f"{one.mode}: {one.mode_reason}"),
            ("answer", answers.get(one.answer, f"200, {one.answer}")),
            ("fetch", one.fetch if one.fetch != "none" else None),
            ("fetch failed", f"{one.fetch_attempts} times: {one.fetch_reason}" if one.fetch_reason else None),
            ("outcome", one.outcome or "open"),
            ("settled", one.settled),
            ("told by", told_by(one)),
            ("reported", one.reported),
            ("report due", one.report_due),
            ("report failed", one.report_reason),
        )
    )
    print_table(*delivery_rows(one.all_deliveries), empty="It has no delivery.")
    for kind, raw in one.pinned.items():
        stdout.print(f"The {kind} as fetched:", style="bold")
        stdout.print(raw, markup=False, highlight=False, soft_wrap=True)
    stdout.print("The notification as it came:", style="bold")
    stdout.print(one.body, markup=False, highlight=False, soft_wrap=True)
