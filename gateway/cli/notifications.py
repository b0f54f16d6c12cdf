"""``gateway notifications``: what came from doForms and what became of it."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.deliveries import delivery_rows
from gateway.cli.options import ROUTES, AsJson, Limit, RoutesFile, Since, store
from gateway.cli.output import fail, print_fields, print_json, print_table, print_text, stdout
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
        ("received", "event", "outcome", "notification"),
        ((one.received, one.event, one.outcome or "open", [one.key, _about(one), _became(one)]) for one in found),
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


def _about(one: NotificationSummary) -> str:
    form = one.form or one.webservice_id
    return f"{form}, record {one.record_key}" if one.record_key else form


def _became(one: NotificationSummary) -> str:
    deliveries = ", ".join(f"{count} {state}" for state, count in one.deliveries.items())
    became = (deliveries or "no delivery") if one.matched else f"unmatched: {one.mode_reason}"
    return f"{became}; {told}" if (told := _told(one)) else became


def _told(one: NotificationSummary) -> str:
    """Say in a few words how doForms hears the outcome."""
    words = {
        "answered": "told in the answer",
        "reported": "told by PUT",
        "due": "not told yet, the PUT is due",
        "open": "",
        "none": "",
        "gone": "not told: doForms does not know it any more",
        "refused": "not told: doForms refused the report",
        "given up": "not told: given up",
    }
    return words.get(one.report, one.report)


def _failed_fetch(one: NotificationDetails) -> str | None:
    if not one.fetch_reason:
        return None
    return f"{one.fetch_attempts} {'time' if one.fetch_attempts == 1 else 'times'}: {one.fetch_reason}"


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
            ("fetch failed", _failed_fetch(one)),
            ("outcome", one.outcome or "open"),
            ("settled", one.settled),
            ("doForms", _told(one)),
            ("reported", one.reported),
            ("report due", one.report_due),
            ("report failed", one.report_reason),
        )
    )
    stdout.print()
    print_table(*delivery_rows(one.all_deliveries), empty="It has no delivery.")
    for kind, raw in one.pinned.items():
        print_text(raw, title=f"The {kind} as fetched:")
    print_text(one.body, title="The notification as it came:")
