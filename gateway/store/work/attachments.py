"""Attachments: what is known of each photo and file of a notification's record; their content is in the spool.

A row is there before its file is: a file without a row belongs to nothing, and the sweep of the spool removes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, case, delete, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.models import AttachmentState
from gateway.store.engine.sanitize import clean
from gateway.store.engine.transaction_time import ask, from_store
from gateway.store.tables import NOT_DOWNLOADED, attachments
from gateway.store.work.records import KeptNotification

_column = attachments.c


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttachment:
    """An attachment that a record names."""

    key: str
    place: str
    filename: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAttachment:
    """An attachment as it stands in the store."""

    id: int
    key: str
    place: str
    filename: str
    file: str
    """Its name in the spool."""
    state: AttachmentState
    attempts: int
    spent: int
    reason: str | None
    due_at: int | None
    """When it may be tried, in the store's time; None: at once."""
    etag: str | None
    size: int | None
    sha256: str | None
    content_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentSummary:
    """An attachment as a person gets to see it."""

    place: str
    filename: str
    key: str
    state: str
    size: int | None
    content_type: str | None
    sha256: str | None
    attempts: int
    """Those that failed."""
    due: datetime | None
    """When it is tried next; None: it has ended, or may be tried at once."""
    reason: str | None
    file: str
    """Its name in the spool."""


def spool_name(kept: KeptNotification, key: str) -> str:
    """Return the name in the spool of an attachment: the same again in a store that was restored from a backup."""
    one = kept.notification
    return hashlib.blake2b("\x1f".join((one.webservice_id, one.key, key)).encode(), digest_size=16).hexdigest()


def note(connection: Connection, kept: KeptNotification, found: Iterable[NewAttachment]) -> None:
    """Keep what a record names; what is there already stays as it is."""
    rows = [
        {
            "notification_id": kept.id,
            "webservice_id": kept.notification.webservice_id,
            "blob_key": one.key,
            "place": clean(one.place),
            "filename": clean(one.filename),
            "file": spool_name(kept, one.key),
            "state": AttachmentState.DUE.value,
        }
        for one in found
    ]
    if rows:
        connection.execute(insert(attachments).on_conflict_do_nothing(), rows)


def forget_others(connection: Connection, kept: KeptNotification, keys: Collection[str]) -> None:
    """Forget what the record does not name any more, as it was fetched again; the sweep removes the files."""
    of_it = _column.notification_id == kept.id
    connection.execute(delete(attachments).where(of_it, _column.blob_key.not_in(keys)))


def load(connection: Connection, notification_id: int) -> dict[str, KeptAttachment]:
    """Read the attachments of a notification, by doForms' key."""
    rows = connection.execute(
        select(attachments).where(_column.notification_id == notification_id).order_by(_column.id)
    )
    return {row.blob_key: _kept(row) for row in rows}


def _kept(row: Row[Any]) -> KeptAttachment:
    return KeptAttachment(
        id=row.id,
        key=row.blob_key,
        place=row.place,
        filename=row.filename,
        file=row.file,
        state=AttachmentState(row.state),
        attempts=row.attempts,
        spent=row.spent,
        reason=row.reason,
        due_at=row.due_at,
        etag=row.etag,
        size=row.size,
        sha256=row.sha256,
        content_type=row.content_type,
    )


def find_twin(connection: Connection, webservice_id: str, one: KeptAttachment) -> KeptAttachment | None:
    """Return the same attachment as it was downloaded for another notification, if it was: the last one."""
    row = connection.execute(
        select(attachments)
        .where(
            _column.webservice_id == webservice_id,
            _column.blob_key == one.key,
            _column.filename == one.filename,
            _column.state == AttachmentState.SPOOLED.value,
            _column.id != one.id,
        )
        .order_by(_column.id.desc())
        .limit(1)
    ).first()
    return None if row is None else _kept(row)


def note_spooled(connection: Connection, id_: int, *, size: int, sha256: str, content_type: str) -> None:
    """Note that an attachment is in the spool, whole."""
    connection.execute(
        update(attachments)
        .where(_column.id == id_)
        .values(
            state=AttachmentState.SPOOLED.value,
            size=size,
            sha256=sha256,
            content_type=clean(content_type),
            reason=None,
            due_at=None,
            etag=None,
            ended_at=ask(connection)[1],
        )
    )


def note_failed(
    connection: Connection,
    id_: int,
    *,
    state: AttachmentState,
    reason: str,
    spent: int,
    due_at: int | None,
    counted: bool = True,
    etag: str | None = None,
) -> None:
    """Note that a download failed, and when it is tried again or that it was the last; ``counted`` as an attempt."""
    connection.execute(
        update(attachments)
        .where(_column.id == id_)
        .values(
            state=state.value,
            reason=clean(reason),
            due_at=due_at,
            etag=None if etag is None else clean(etag),
            attempts=_column.attempts + int(counted),
            spent=_column.spent + spent,
            ended_at=_column.ended_at if due_at is not None else ask(connection)[1],
        )
    )


def try_again(connection: Connection, notification_ids: Collection[int], *, afresh: bool) -> None:
    """Make due again what was given up; it is missing until it has come. ``afresh``: what is in the spool, too."""
    statement = update(attachments).where(_column.notification_id.in_(notification_ids))
    if not afresh:
        statement = statement.where(_column.state != AttachmentState.SPOOLED.value)
    given_up_at = case((_column.state == AttachmentState.SPOOLED.value, None), else_=_column.ended_at)
    fresh = {"attempts": 0, "spent": 0, "reason": None, "due_at": None, "etag": None}
    connection.execute(statement.values(state=AttachmentState.DUE.value, ended_at=given_up_at, **fresh))


def forget(connection: Connection, notification_ids: Collection[int]) -> int:
    """Forget the attachments of notifications, and return how many; the sweep removes their files."""
    return connection.execute(delete(attachments).where(_column.notification_id.in_(notification_ids))).rowcount


def count(connection: Connection, notification_ids: Select[Any]) -> int:
    """Count the attachments of notifications."""
    counted = select(func.count()).select_from(attachments).where(_column.notification_id.in_(notification_ids))
    return connection.execute(counted).scalar_one()


def files_of(connection: Connection, names: Collection[str]) -> set[str]:
    """Return those of these names in the spool that belong to an attachment."""
    return set(connection.execute(select(_column.file).where(_column.file.in_(names))).scalars())


def not_downloaded(connection: Connection, webservice_id: str) -> bool:
    """Tell whether an attachment of a web service was given up, and has not come since.

    A replay alone does not bring it, and what a later notification brought is not missing any more.
    """
    missing, later = attachments, attachments.alias()
    has_come = exists(later.c.id).where(
        later.c.webservice_id == missing.c.webservice_id,
        later.c.blob_key == missing.c.blob_key,
        later.c.filename == missing.c.filename,
        later.c.state == AttachmentState.SPOOLED.value,
    )
    given_up = missing.c.webservice_id == webservice_id, text(f"attachments.{NOT_DOWNLOADED}"), missing.c.ended_at > 0
    found = select(missing.c.id).where(*given_up, ~has_come).limit(1)
    return connection.execute(found).first() is not None


def show(connection: Connection, notification_id: int) -> list[AttachmentSummary]:
    """Return the attachments of a notification for a person."""
    return [
        AttachmentSummary(
            place=one.place,
            filename=one.filename,
            key=one.key,
            state=one.state.value,
            size=one.size,
            content_type=one.content_type,
            sha256=one.sha256,
            attempts=one.attempts,
            due=from_store(one.due_at),
            reason=one.reason,
            file=one.file,
        )
        for one in load(connection, notification_id).values()
    ]
