"""The attachments of a record: downloaded into the spool once for a notification, retried apart from the record.

Deliveries that ask for them drive this, as they do the fetch of the record: one that finds something missing is put off
until the next try is due. So a crash leaves nothing behind but rows that say how far it has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext

from gateway.attachments.attachment_set import NOTHING, AttachmentSet, Missing, count
from gateway.attachments.download import Downloads
from gateway.attachments.spool import Spool, spool_of
from gateway.calls.bulkhead import CallQueue
from gateway.calls.gate import Gate
from gateway.doforms.download import ANY
from gateway.doforms.record_attachments import Blob, find_blobs
from gateway.models import Attachment, AttachmentState, Event, ReasonCode, Record
from gateway.records.single_flight import Aside, SingleFlight, Waits
from gateway.retry import Deferred, GivenUp
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.transaction_time import SECOND
from gateway.store.store import Store
from gateway.store.work import attachments
from gateway.store.work.attachments import KeptAttachment, NewAttachment
from gateway.store.work.records import KeptNotification

_LARGE = 500
"""Questions and rows of a record that is gone through in a thread."""


class AttachmentFetcher:
    """Where deliveries ask for the attachments of their record."""

    def __init__(self, *, store: Store, active: ActiveRoutes, gate: Gate) -> None:
        self._store = store
        self._active = active
        self._gate = gate
        self._downloads = Downloads(store=store, active=active, gate=gate)
        self._single_flight: SingleFlight[None] = SingleFlight()

    async def stop(self) -> None:
        """Break off the downloads that are under way; what has come of them stays in the spool."""
        await self._single_flight.stop()

    async def attached(
        self, kept: KeptNotification, record: Record | None, *, required: bool, aside: Aside = nullcontext
    ) -> AttachmentSet:
        """Return what a delivery of this record sends along, downloading it first if that has not been done.

        ``aside`` is entered while it waits for its turn to download, and for what comes of that.

        Raises:
            Deferred: something is not there yet; ask again later.
            GivenUp: something is ``required`` and will not come.
        """
        if record is None or kept.notification.event is Event.DELETE:
            return NOTHING
        if not (blobs := await _blobs(record)):
            await self._rows(kept, ())  # fetched again, it may name none of those that it named before
            return NOTHING
        await self._single_flight.ask(
            kept.id, lambda waits: self._download_all(kept, record, blobs, waits=waits), aside=aside
        )
        rows = await self._store.read(lambda c: attachments.load(c, kept.id))
        return self._judged(blobs, rows, required=required)

    def _judged(self, blobs: Sequence[Blob], rows: dict[str, KeptAttachment], *, required: bool) -> AttachmentSet:
        spool = spool_of(self._active.routes)
        if any(blob.key not in rows for blob in blobs):
            raise Deferred(self._store.now(), "its record was fetched again while its attachments were downloaded")
        missing = tuple(
            Missing(place=row.place, filename=row.filename, reason=row.reason or "was given up")
            for blob in blobs
            if (row := rows[blob.key]).state is AttachmentState.GIVEN_UP
        )
        if missing and required:
            reason = f"{count(missing)} of {len(blobs)} missing: {'; '.join(str(one) for one in missing)}"
            raise GivenUp(reason, ReasonCode.ATTACHMENT_MISSING)
        due = [row for blob in blobs if (row := rows[blob.key]).state is AttachmentState.DUE]
        if due:
            first = min(due, key=lambda row: row.due_at or 0)
            lacking = f"{first.place}: {first.reason or 'not downloaded yet'}"
            until = max(first.due_at or 0, self._store.now() + SECOND // 10)
            raise Deferred(until, f"{len(due)} of {count(blobs)} not there yet: {lacking}")
        there = [(blob, row) for blob in blobs if (row := rows[blob.key]).state is AttachmentState.SPOOLED]
        return AttachmentSet(
            attachments=tuple(_attachment(spool, place, row) for blob, row in there for place in blob.places),
            missing=missing,
            known={row.key: {"size": row.size, "sha256": row.sha256} for _, row in there},
        )

    async def _download_all(
        self, kept: KeptNotification, record: Record, blobs: Sequence[Blob], *, waits: Waits
    ) -> None:
        rows = await self._rows(kept, blobs)
        lacking = [blob for blob in blobs if await self._is_due(rows[blob.key])]
        if not lacking:
            return
        notification = kept.notification
        async with self._gate.queue(notification.webservice_id, CallQueue.ATTACHMENTS, of=notification):
            waits()
            downloads = (self._downloads.download(kept, record, blob, rows[blob.key]) for blob in lacking)
            ended = await asyncio.gather(*downloads, return_exceptions=True)
        failures = [one for one in ended if isinstance(one, BaseException)]
        for failure in sorted(failures, key=lambda one: isinstance(one, Deferred)):
            raise failure

    async def _rows(self, kept: KeptNotification, blobs: Sequence[Blob]) -> dict[str, KeptAttachment]:
        rows = await self._store.read(lambda c: attachments.load(c, kept.id))
        new = [
            NewAttachment(key=blob.key, place=blob.places[0], filename=blob.filename)
            for blob in blobs
            if blob.key not in rows
        ]
        if rows.keys() - (keys := {blob.key for blob in blobs}):
            await self._store.write(lambda c: attachments.forget_others(c, kept, keys))
        if new:
            await self._store.write(lambda c: attachments.note(c, kept, new))
            rows = await self._store.read(lambda c: attachments.load(c, kept.id))
        return rows

    async def _is_due(self, row: KeptAttachment) -> bool:
        """Tell whether to download it now: also what was spooled, where it is not in the folder of this process."""
        if row.state is AttachmentState.SPOOLED:
            return not await asyncio.to_thread(spool_of(self._active.routes).holds, row.file, row.size)
        return row.state is AttachmentState.DUE and (row.due_at is None or row.due_at <= self._store.now())


async def _blobs(record: Record) -> list[Blob]:
    """Return the attachments of a record; a large one is gone through in a thread."""
    if len(record.paths) + sum(map(len, record.tables.values())) < _LARGE:
        return find_blobs(record)
    return await asyncio.to_thread(find_blobs, record)


def _attachment(spool: Spool, place: str, row: KeptAttachment) -> Attachment:
    return Attachment(
        place=place,
        key=row.key,
        filename=row.filename,
        content_type=row.content_type or ANY,
        size=row.size or 0,
        sha256=row.sha256 or "",
        path=spool.path(row.file),
    )
