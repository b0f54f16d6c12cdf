"""The attachments of a record: downloaded into the spool once for a notification, retried apart from the record.

Deliveries that ask for them drive this, as they do the fetch of the record: one that finds something missing is put off
until the next try is due. So a crash leaves nothing behind but rows that say how far it has come.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from functools import partial
from urllib.parse import quote

import structlog
from sqlalchemy import Connection

from gateway.delivery.attached import NOTHING, Attached, Missing, count
from gateway.delivery.calls import Calls
from gateway.delivery.current import Current
from gateway.delivery.fetch import GivenUp, PutOff
from gateway.delivery.pauses import Cause, Kind, Pauses
from gateway.delivery.settle import delay, gives_up
from gateway.delivery.spool import Busy, NoRoom, Part, Spool
from gateway.delivery.spool_alarm import SpoolAlarm
from gateway.doforms.blobs import Blob, find_blobs
from gateway.doforms.download import ANY, Wanted
from gateway.doforms.failures import Later, Quota, Unauthorised, Unwanted
from gateway.errors import DoformsError
from gateway.models import Attachment, AttachmentState, Record
from gateway.routing.loaded import Account, Webservice
from gateway.store import alarms, attachments
from gateway.store.attachments import KeptAttachment, NewAttachment
from gateway.store.causes import WEBSERVICE_WAITS
from gateway.store.clock import SECOND, micros
from gateway.store.records import KeptNotification
from gateway.store.store import Store

log = structlog.get_logger(__name__)

ALARM = "attachment missing"
"""The kind of the alarm of a web service whose attachments could not be downloaded."""
_PUT_OFF = 60.0
"""Seconds until a delivery looks again whether its paused web service goes on, or the disk has room."""
_BUSY = 2.0
"""Seconds until a delivery looks again at what another process downloads."""
_MOST_ASIDE = 100
"""Deliveries of this process that wait for downloads without taking the place of others."""


class AttachmentDesk:
    """Where deliveries ask for the attachments of their record."""

    def __init__(self, *, store: Store, current: Current, calls: Calls, pauses: Pauses) -> None:
        self._store = store
        self._current = current
        self._calls = calls
        self._pauses = pauses
        self._alarm = SpoolAlarm(store)
        self._running: dict[int, asyncio.Task[None]] = {}
        self._slots: dict[str, tuple[int, asyncio.Semaphore]] = {}

    @property
    def crowded(self) -> bool:
        """Whether so many deliveries wait for downloads that claiming more would only fill the memory."""
        return len(self._running) >= _MOST_ASIDE

    async def stop(self) -> None:
        """Break off the downloads that are under way; what has come of them stays in the spool."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def attached(self, kept: KeptNotification, record: Record | None, *, required: bool) -> Attached:
        """Return what a delivery of this record sends along, downloading it first if that has not been done.

        Raises:
            PutOff: something is not there yet; ask again later.
            GivenUp: something is ``required`` and will not come.
        """
        blobs = [] if record is None else find_blobs(record)
        if record is None or not blobs:
            return NOTHING
        task = self._running.get(kept.id)
        if task is None:
            task = asyncio.create_task(self._download_all(kept, record, blobs))
            self._running[kept.id] = task
            task.add_done_callback(partial(self._ended, kept.id))
        await asyncio.shield(task)
        rows = await self._store.read(lambda c: attachments.load(c, kept.id))
        return self._judged(blobs, rows, required=required)

    def _ended(self, id_: int, task: asyncio.Task[None]) -> None:
        self._running.pop(id_, None)
        if not task.cancelled():
            task.exception()  # looked at: whoever asked may have gone meanwhile

    def _judged(self, blobs: Sequence[Blob], rows: dict[str, KeptAttachment], *, required: bool) -> Attached:
        spool = self._spool()
        due = [row for blob in blobs if (row := rows[blob.key]).state is AttachmentState.DUE]
        if due:
            first = min(due, key=lambda row: row.due_at or 0)
            lacking = f"{first.place}: {first.reason or 'not downloaded yet'}"
            until = max(first.due_at or 0, self._store.now() + SECOND // 10)
            raise PutOff(until, f"{len(due)} of {count(blobs)} are not there yet: {lacking}")
        missing = tuple(
            Missing(place=row.place, filename=row.filename, reason=row.reason or "was given up")
            for blob in blobs
            if (row := rows[blob.key]).state is AttachmentState.GIVEN_UP
        )
        if missing and required:
            raise GivenUp(f"{count(missing)} of {len(blobs)} missing: {'; '.join(str(one) for one in missing)}")
        there = [(blob, row) for blob in blobs if (row := rows[blob.key]).state is AttachmentState.SPOOLED]
        return Attached(
            attachments=tuple(_attachment(spool, place, row) for blob, row in there for place in blob.places),
            missing=missing,
            known={row.key: {"size": row.size, "sha256": row.sha256} for _, row in there},
        )

    async def _download_all(self, kept: KeptNotification, record: Record, blobs: Sequence[Blob]) -> None:
        rows = await self._rows(kept, blobs)
        lacking = [blob for blob in blobs if await self._is_due(rows[blob.key])]
        downloads = (self._download(kept, record, blob, rows[blob.key]) for blob in lacking)
        ended = await asyncio.gather(*downloads, return_exceptions=True)
        failures = [one for one in ended if isinstance(one, BaseException)]
        for failure in sorted(failures, key=lambda one: isinstance(one, PutOff)):
            raise failure

    async def _rows(self, kept: KeptNotification, blobs: Sequence[Blob]) -> dict[str, KeptAttachment]:
        rows = await self._store.read(lambda c: attachments.load(c, kept.id))
        new = [
            NewAttachment(key=blob.key, place=blob.places[0], filename=blob.filename)
            for blob in blobs
            if blob.key not in rows
        ]
        if new:
            await self._store.write(lambda c: attachments.note(c, kept, new))
            rows = await self._store.read(lambda c: attachments.load(c, kept.id))
        return rows

    async def _is_due(self, row: KeptAttachment) -> bool:
        """Tell whether to download it now: also what was spooled, where it is not in the folder of this process."""
        if row.state is AttachmentState.SPOOLED:
            return not await asyncio.to_thread(self._spool().holds, row.file, row.size)
        return row.state is AttachmentState.DUE and (row.due_at is None or row.due_at <= self._store.now())

    async def _download(self, kept: KeptNotification, record: Record, blob: Blob, row: KeptAttachment) -> None:
        if row.size is None and await self._shared(kept, row):
            return
        account = self._current.account(self._webservice(kept))
        async with self._slot(account):
            webservice = self._webservice(kept)  # it may have been paused meanwhile
            part = await self._begin(row)
            try:
                await self._receive(kept, record, blob, row, part, webservice)
            finally:
                part.close()

    async def _shared(self, kept: KeptNotification, row: KeptAttachment) -> bool:
        """Take over what was downloaded for an earlier notification of the record; tell whether there was any."""
        twin = await self._store.read(lambda c: attachments.find_twin(c, kept.notification.webservice_id, row))
        if twin is None or not await asyncio.to_thread(self._spool().share, twin.file, row.file, twin.size):
            return False
        size, sha256, kind = twin.size or 0, twin.sha256 or "", twin.content_type or ANY
        await self._store.write(
            lambda c: attachments.note_spooled(c, row.id, size=size, sha256=sha256, content_type=kind)
        )
        return True

    async def _begin(self, row: KeptAttachment) -> Part:
        try:
            return await asyncio.to_thread(self._spool().begin, row.file, row.etag)
        except Busy:
            until = self._store.now() + micros(_BUSY)
            raise PutOff(until, f"{row.place} is being downloaded by another process") from None
        except OSError as error:
            raise await self._no_spool(error) from error

    async def _receive(
        self,
        kept: KeptNotification,
        record: Record,
        blob: Blob,
        row: KeptAttachment,
        part: Part,
        webservice: Webservice,
    ) -> None:
        account, started = self._current.account(webservice), time.monotonic()
        wanted = Wanted(expected=blob.content_type, largest=account.largest_attachment, types=account.attachment_types)
        try:
            got = await self._calls.download(account, webservice, _path(account, blob, record), part, wanted)
            sha256 = await part.finish()
        except Unauthorised as error:
            raise await self._paused(webservice, error, Cause.UNAUTHORISED) from error
        except Quota as error:
            raise await self._paused(webservice, error, Cause.QUOTA) from error
        except (NoRoom, OSError) as error:
            raise await self._no_spool(error) from error
        except DoformsError as error:
            if isinstance(error, Unwanted):
                part.drop()
            await self._failed(kept, account, row, part, error, time.monotonic() - started)
            return
        await self._store.write(
            lambda c: attachments.note_spooled(c, row.id, size=got.size, sha256=sha256, content_type=got.content_type)
        )
        await self._alarm.end()
        await self._pauses.worked(Kind.WEBSERVICE, webservice.id)

    async def _failed(
        self,
        kept: KeptNotification,
        account: Account,
        row: KeptAttachment,
        part: Part,
        error: DoformsError,
        duration: float,
    ) -> None:
        number, retry = row.attempts + 1, account.attachment_retry
        wish = error.retry_after if isinstance(error, Later) else None
        wait = delay(retry, number, jitter=random.random(), wish=wish)
        verdict = gives_up(retry, number=number, spent=row.spent / SECOND + duration, wait=wait)
        if isinstance(error, Unwanted):
            verdict = "refused"
        reason = f"could not be downloaded: {f'{verdict}: ' if verdict else ''}{error}"
        due_at = None if verdict else self._store.now() + micros(wait)
        key, subject = kept.notification.key, kept.notification.webservice_id
        log.warning("attachment not downloaded", notification=key, place=row.place, attempt=number, reason=reason)

        def note(connection: Connection) -> bool:
            attachments.note_failed(
                connection,
                row.id,
                state=AttachmentState.GIVEN_UP if verdict else AttachmentState.DUE,
                reason=reason,
                spent=micros(wait + duration),
                due_at=due_at,
                etag=part.validator if part.offset else None,
            )
            text = f"notification {key}: {row.place} ({row.filename}) {reason}"
            return verdict is not None and alarms.raise_alarm(connection, ALARM, subject, text)

        if await self._store.write(note):
            log.warning("alarm raised", kind=ALARM, subject=subject, text=reason)

    async def _paused(self, webservice: Webservice, error: Unauthorised | Quota, cause: Cause) -> PutOff:
        """Pause a web service, unless it was loaded again meanwhile; returns what the delivery is told."""
        if self._current.webservice(webservice.id) != webservice:
            return PutOff(self._store.now(), f"{WEBSERVICE_WAITS}{webservice.name} was loaded again meanwhile")
        until = error.until if isinstance(error, Quota) else None
        await self._pauses.pause(Kind.WEBSERVICE, webservice.id, str(error), cause=cause, until=until)
        return PutOff(self._soon(), f"{WEBSERVICE_WAITS}{webservice.name} is paused: {error}")

    async def _no_spool(self, error: NoRoom | OSError) -> PutOff:
        """Raise the alarm that nothing can be spooled; no attempt is spent."""
        said = str(error) if isinstance(error, NoRoom) else f"{error.filename or self._spool().root}: {error.strerror}"
        text = f"attachments cannot be spooled: {said}"
        await self._alarm.begin(str(self._spool().root), text)
        return PutOff(self._soon(), text)

    def _webservice(self, kept: KeptNotification) -> Webservice:
        """Return the web service in whose name to download; raises PutOff where that cannot be done now."""
        ident = kept.notification.webservice_id
        webservice = self._current.webservice(ident)
        if webservice is None or webservice.password is None:
            missing = "is not in the routes file" if webservice is None else "has no password in the routes file"
            raise PutOff(self._soon(), f"{WEBSERVICE_WAITS}{ident!r} {missing}")
        if (paused := self._pauses.reason(Kind.WEBSERVICE, webservice.id)) is not None:
            raise PutOff(self._soon(), f"{WEBSERVICE_WAITS}{webservice.name} is paused: {paused}")
        return webservice

    def _slot(self, account: Account) -> asyncio.Semaphore:
        """Return what limits the downloads of an account to half of its calls at once: records go on meanwhile."""
        most = max(1, account.max_in_flight // 2)
        known, slots = self._slots.get(account.name, (0, None))
        if slots is None or known != most:  # new, or changed by a reload
            slots = asyncio.Semaphore(most)
            self._slots[account.name] = (most, slots)
        return slots

    def _spool(self) -> Spool:
        routes = self._current.routes
        return Spool(routes.spool, least_free=routes.min_free_disk)

    def _soon(self) -> int:
        return self._store.now() + micros(_PUT_OFF)


def _path(account: Account, blob: Blob, record: Record) -> str:
    """Return the path below the API from which to download, each value percent-encoded as one segment."""
    values = {
        "key": blob.key,
        "id": blob.id or blob.key,
        "record_key": record.key,
        "record_id": record.id or record.key,
    }
    path = account.blob_path
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    return path


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
