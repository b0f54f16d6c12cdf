"""``gateway explain``: shows what would become of a notification, without sending anything."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.panel import Panel
from rich.text import Text

from gateway.cli.loading import load_routes
from gateway.cli.options import ROUTES, AsJson, RoutesFile
from gateway.cli.output import as_data, fail, print_fields, print_json, print_table, stderr, stdout
from gateway.cli.questions import questions_store
from gateway.cli.speaking import plugins_speak
from gateway.config.loaded import Routes
from gateway.doforms.notification import parse_notification
from gateway.doforms.record import decode_record
from gateway.drift.ambiguity import InSeveralPlaces
from gateway.drift.mismatch import NotInRecord
from gateway.drift.rules import brought
from gateway.errors import DoformsError, NotANotification, RoutesFileError, StoreError
from gateway.explain import Explanation
from gateway.explain import explain as explain_notification
from gateway.log import Mask
from gateway.models import Event, Notification, Record, RecordKind
from gateway.store.engine.database import describe, is_of_database
from gateway.store.work import questions
from gateway.store.work.questions import FormOf
from gateway.text.visible import visible

_NOT_DOWNLOADED = (
    "(explain downloads none: below stands which of them are sent; in templates `attachments` is empty, and the size "
    "and checksum of a photo are null, as they will not be when it is sent)"
)


def explain(
    payload: Annotated[
        Path,
        typer.Argument(
            metavar="PAYLOAD.json", help="A notification as doForms posts it; - reads it from standard input."
        ),
    ],
    record: Annotated[
        Path | None,
        typer.Option(
            help="The record as the doForms API gives it; without it templates that need one stay open.", metavar="FILE"
        ),
    ] = None,
    event: Annotated[
        Event | None, typer.Option(help="The event that the path tells, where the body tells none.")
    ] = None,
    routes: RoutesFile = ROUTES,
    json: AsJson = False,
) -> None:
    """Explain a notification: which routes match and why, the mode and why, and what would be sent. Nothing is sent."""
    loaded = _load(routes)
    try:
        notification = parse_notification(_read(payload), path_event=event, received=datetime.now(UTC))
    except NotANotification as error:
        raise fail(f"{payload}: {error}") from None
    given = _record(record, notification)
    records = _brought(loaded, notification.webservice_id)
    with plugins_speak():
        explanation = explain_notification(loaded, notification, given, records)
    mask = Mask()
    mask.learn(loaded.secrets)
    if json:
        print_json(mask.data(as_data(explanation)))
    else:
        _print(explanation, mask)


def _load(file: Path) -> Routes:
    try:
        return load_routes(file)
    except RoutesFileError:
        loaded = load_routes(file, secrets=False)  # raises again if it is not for the secrets
        stderr.print("Some references could not be looked up; stand-ins take their place.", style="yellow")
        return loaded


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise fail(f"{file} cannot be read: {error.strerror or error}", status=2) from None


def _record(file: Path | None, notification: Notification) -> Record | None:
    if file is None:
        return None
    try:
        record = decode_record(_read(file), kind=notification.record_kind or RecordKind.SUBMISSION)
    except DoformsError as error:
        raise fail(f"{file}: {error}") from None
    wanted = notification.record_key
    if wanted and wanted not in (record.key, record.id):
        text = (
            f"{file} holds the record {record.key!r}, and the notification speaks of {wanted!r}: is it the right file?"
        )
        stderr.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)
    return record


def _brought(loaded: Routes, webservice_id: str) -> dict[RecordKind, dict[str, str]]:
    """Return what the records of a web service that came so far have brought, as far as the store tells."""
    try:
        with questions_store(loaded) as connection:
            if connection is None:
                return {}
            return {kind: brought(questions.known(connection, FormOf(webservice_id, kind))) for kind in RecordKind}
    except Exception as error:
        if not (isinstance(error, StoreError) or is_of_database(error)):
            raise
        text = f"What other records brought is not looked at: the store cannot be read: {describe(error)}"
        stderr.print(text, style="yellow", markup=False, soft_wrap=True)
        return {}


def _print(one: Explanation, mask: Mask) -> None:
    print_fields(
        (
            ("notification", one.notification),
            ("event", one.event),
            ("record", one.record_key),
            ("web service", f"{one.webservice or 'not in the routes file'} ({one.webservice_id})"),
            ("form", one.form),
            ("project", one.project),
            ("account", one.account),
            ("mode", f"{one.mode}: {one.why}"),
            ("fetches", ", ".join(one.fetches) or "nothing"),
            ("not asked for", ", ".join(one.not_asked_for)),
            ("not in record", [*map(_missed, one.not_in_record)]),
            ("ambiguous", [*map(_ambiguous, one.in_several_places)]),
        )
    )
    print_table(
        ("route", "matches", "why"), ((each.route, each.matches, each.why) for each in one.routes), empty="No route."
    )
    for each in one.deliveries:
        title = f"{each.route} → {each.destination}" + (
            f" ({each.delivery})" if each.delivery != each.destination else ""
        )
        lines = [
            f"{each.result}{'' if each.required else ' (does not count)'}{f': {each.reason}' if each.reason else ''}"
        ]
        if each.attachments:
            lines.append(f"downloads {', '.join(each.attachments)}")
            lines.append(_NOT_DOWNLOADED)
        lines = [visible(line) for line in lines]
        if each.preview:
            lines += ["", visible(mask.text(each.preview), lines=True).strip("\n")]
        stdout.print(Panel(Text("\n".join(lines)), title=Text(visible(title)), title_align="left"))


def _missed(one: NotInRecord) -> str:
    hint = f"; did you mean {one.meant}?" if one.meant else ""
    return f"{one.question}, asked for by {'; '.join(one.asked_by)}{hint}"


def _ambiguous(one: InSeveralPlaces) -> str:
    paths = " or ".join(one.paths)
    asked = "; ".join(one.asked_by)
    return f"{one.question} stands in several places, asked for by {asked}; ask for one of its paths: {paths}"
