"""Prints one notification with all that happened to it."""

from __future__ import annotations

from gateway.cli.attachments import print_attachments
from gateway.cli.deliveries import delivery_rows
from gateway.cli.output import fail, print_fields, print_table, print_text, stdout
from gateway.models import Event
from gateway.store.operator.queries import BACKFILL
from gateway.store.operator.views import NotificationDetails, NotificationSummary


def told(one: NotificationSummary) -> str:
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


def _deleted(one: NotificationDetails) -> str | None:
    if one.deleted is None:
        return None
    return f"{one.deleted:%Y-%m-%d %H:%M}, being older than retention: only its key and its outcome are left"


def print_notification(one: NotificationDetails) -> None:
    """Print everything about a notification."""
    answers = {None: "200, empty", "": "200, empty"}
    print_fields(
        (
            ("key", one.key),
            ("kind", one.kind),
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
            ("answer", None if one.kind == BACKFILL else answers.get(one.answer, f"200, {one.answer}")),
            ("fetch", one.fetch if one.fetch != "none" else None),
            ("fetch failed", _failed_fetch(one)),
            ("outcome", one.outcome or "open"),
            ("settled", one.settled),
            ("deleted", _deleted(one)),
            ("doForms", "nothing to report: it sent no notification" if one.kind == BACKFILL else told(one)),
            ("reported", one.reported),
            ("report due", one.report_due),
            ("report failed", one.report_reason),
        )
    )
    stdout.print()
    print_table(*delivery_rows(one.all_deliveries), empty="It has no delivery.")
    print_attachments(one.attachments)
    for kind, raw in one.pinned.items():
        print_text(raw, title=f"The {kind} as fetched:")
    print_text(one.body, title="What was listed:" if one.kind == BACKFILL else "The notification as it came:")


def body_of(one: NotificationDetails) -> str:
    """Return the body as it came; exits with status 1 where none is kept."""
    if one.kind == BACKFILL:
        raise fail(f"{one.key} was found by asking doForms: no notification came, so there is no body of one")
    if one.deleted is not None:
        raise fail(f"{one.key} was deleted by retention: only its key and its outcome are left")
    return one.body


def record_of(one: NotificationDetails) -> str:
    """Return the record as it was fetched: the dispatch of a status event, else the submission, else the dispatch.

    Exits with status 1 where none is kept.
    """
    usual = sorted(one.pinned, reverse=one.event != Event.STATUS)
    if not usual:
        raise fail(f"no record is kept of {one.key}: its fetch is {one.fetch}")
    return one.pinned[usual[0]]
