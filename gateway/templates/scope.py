"""The scope of a delivery's templates: what each name holds for one notification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Protocol

from gateway.models import Attachment, Notification, Record, RecordKind
from gateway.templates.values import Strict


class WebserviceNames(Protocol):
    """What templates see of a web service."""

    @property
    def name(self) -> str:
        """Its name in the routes file."""

    @property
    def form(self) -> str:
        """The form."""

    @property
    def project(self) -> str:
        """The project."""

    @property
    def account(self) -> str:
        """The account, by its name."""

    @property
    def vars(self) -> Mapping[str, Any]:
        """What ``vars`` says."""


def build_scope(
    *,
    notification: Notification,
    webservice: WebserviceNames | None,
    route: str,
    record: Record | None,
    submission: Record | None,
    dispatch: Record | None,
    attachments: Sequence[Attachment] = (),
    timezone: tzinfo = UTC,
) -> dict[str, Any]:
    """Return the names; ``now`` is the time of receipt in the routes file's timezone, the same in every retry."""
    received = notification.received.astimezone(timezone)
    return {
        "notification": _notification(notification, timezone),
        "record": _record("record", record, notification.record_key),
        "submission": _record("submission", submission, notification.key_of(RecordKind.SUBMISSION)),
        "dispatch": _record("dispatch", dispatch, notification.key_of(RecordKind.DISPATCH)),
        "webservice": _webservice(webservice),
        "route": Strict("route", {"name": route}, text=route),
        "attachments": [_attachment(one) for one in attachments],
        "now": received,
    }


def _notification(one: Notification, timezone: tzinfo) -> Strict:
    return Strict(
        "notification",
        {
            "key": one.key,
            "event": one.event.value,
            "status": one.status,
            "submission_key": one.submission_key,
            "dispatch_key": one.dispatch_key,
            "created": _local(one.created, timezone),
            "received": _local(one.received, timezone),
        },
    )


def _attachment(one: Attachment) -> Strict:
    values = {
        "place": one.place,
        "question": one.question,
        "key": one.key,
        "filename": one.filename,
        "content_type": one.content_type,
        "size": one.size,
        "sha256": one.sha256,
        "path": str(one.path),
    }
    return Strict("attachment", values, text=one.filename)


def _local(moment: datetime | None, timezone: tzinfo) -> datetime | None:
    return None if moment is None else moment.astimezone(timezone)


def _record(name: str, one: Record | None, key: str | None) -> Strict:
    """Show a record; of one that is not known only the key, every question unanswered."""
    if one is None:
        return Strict(name, {"key": key, "id": None, "fields": {}, "tables": {}, "paths": {}, "raw": None})
    return Strict(
        name,
        {
            "key": key or one.key,
            "id": one.id,
            "fields": one.fields,
            "tables": one.tables,
            "paths": one.paths,
            "raw": one.raw,
        },
    )


def key_alone(name: str, record: Strict) -> Strict:
    """Return a record of which only key and id are shown."""
    return Strict(
        name, {"key": record["key"], "id": record["id"], "fields": {}, "tables": {}, "paths": {}, "raw": None}
    )


def _webservice(one: WebserviceNames | None) -> Strict:
    values: Mapping[str, Any] = {
        "name": one.name if one else None,
        "form": one.form if one else None,
        "project": one.project if one else None,
        "account": one.account if one else None,
        "vars": _strict("webservice.vars", one.vars if one else {}),
    }
    return Strict("webservice", values)


def _strict(what: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return Strict(what, {key: _strict(f"{what}.{key}", item) for key, item in value.items()})
    return value
