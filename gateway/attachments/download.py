"""Downloads one attachment into the spool, within the limits and by the retries of its account."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import structlog

from gateway.alarms.book import AlarmBook, AlarmStep
from gateway.attachments.spool import Busy, NoRoom, Part, spool_of
from gateway.attachments.spool_alarm import SpoolAlarm
from gateway.calls.account_limits import Priority
from gateway.calls.client import WebserviceClient
from gateway.calls.gate import Gate
from gateway.config.loaded import Account
from gateway.doforms.client import segment
from gateway.doforms.download import ANY, Downloaded, Wanted
from gateway.doforms.failures import Forbidden, Refused, Unwanted
from gateway.doforms.record_attachments import Blob
from gateway.doforms.synthetic import is_stand_in
from gateway.errors import DoformsError
from gateway.models import AlarmKind, AttachmentState, Record
from gateway.records.verify import prove_password
from gateway.retry import Deferred, after_call
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.transaction_time import SECOND, micros
from gateway.store.store import Store
from gateway.store.work import attachments
from gateway.store.work.attachments import KeptAttachment
from gateway.store.work.records import KeptNotification

log = structlog.get_logger(__name__)

_REMEDY = (
    "This is the last one. Those that went without: `gateway deliveries list --attachment-missing`; once the cause is "
    "mended, `gateway deliveries replay --attachment-missing --force` sends them with it, and `gateway deliveries "
    "replay --error 'missing: '` those that are dead for it"
)
_PUT_OFF = 60.0
"""Seconds until a delivery looks again whether the disk has room."""
_BUSY = 2.0
"""Seconds until a delivery looks again at what another process downloads."""


class Downloads:
    """Downloads attachments, at most so many at once for each account."""

    def __init__(self, *, store: Store, active: ActiveRoutes, gate: Gate) -> None:
        self._store = store
        self._alarms = AlarmBook(store)
        self._active = active
        self._gate = gate
        self._alarm = SpoolAlarm(store)
        self._slots: dict[tuple[str, Priority], tuple[int, asyncio.Semaphore]] = {}

    async def download(self, kept: KeptNotification, record: Record, blob: Blob, row: KeptAttachment) -> None:
        """Bring an attachment into the spool, or note why that failed.

        Raises:
            Deferred: nothing was tried, and no attempt is spent.
        """
        if row.size is None and await self._shared(kept, row):
            return
        account = self._active.account(self._gate.look(kept.notification.webservice_id))
        priority = Priority.BACKFILL if is_stand_in(kept.notification) else Priority.ATTACHMENT
        async with self._slot(account, priority):
            account = self._active.account(self._gate.look(kept.notification.webservice_id))  # as it is by now
            part = await self._begin(row)
            try:
                await self._receive(kept, record, blob, row, part, account, priority)
            finally:
                part.close()

    async def _shared(self, kept: KeptNotification, row: KeptAttachment) -> bool:
        """Take over what was downloaded for an earlier notification of the record; tell whether there was any."""
        twin = await self._store.read(lambda c: attachments.find_twin(c, kept.notification.webservice_id, row))
        if twin is None or not await asyncio.to_thread(
            spool_of(self._active.routes).share, twin.file, row.file, twin.size
        ):
            return False
        size, sha256, kind = twin.size or 0, twin.sha256 or "", twin.content_type or ANY
        await self._store.write(
            lambda c: attachments.note_spooled(c, row.id, size=size, sha256=sha256, content_type=kind)
        )
        return True

    async def _begin(self, row: KeptAttachment) -> Part:
        beginning = asyncio.ensure_future(asyncio.to_thread(spool_of(self._active.routes).begin, row.file, row.etag))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            with suppress(Busy, OSError):
                (await beginning).close()  # else its lock would stay as long as the process
            raise
        except Busy:
            until = self._store.now() + micros(_BUSY)
            raise Deferred(until, f"{row.place} is being downloaded by another process") from None
        except OSError as error:
            raise await self._no_spool(error) from error

    async def _receive(
        self,
        kept: KeptNotification,
        record: Record,
        blob: Blob,
        row: KeptAttachment,
        part: Part,
        account: Account,
        priority: Priority,
    ) -> None:
        started = time.monotonic()
        try:
            async with self._gate.permit(kept.notification.webservice_id, priority) as client:
                got = await self._call(client, kept, record, blob, part)
                sha256 = await part.finish()
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

    async def _call(
        self, client: WebserviceClient, kept: KeptNotification, record: Record, blob: Blob, part: Part
    ) -> Downloaded:
        """Download what is missing; one that alone is forbidden (403) says nothing about its web service."""
        account = client.account
        wanted = Wanted(expected=blob.content_type, largest=account.largest_attachment, types=account.attachment_types)
        try:
            return await client.download(_path(account, blob, record), part, wanted)
        except Forbidden as told:
            await prove_password(client, told, end=kept.notification.received)
            text = f"{told.said}, though a listing works, so the password is right. Look whether `blob_path` is, too"
            raise Refused(text) from told

    async def _failed(
        self,
        kept: KeptNotification,
        account: Account,
        row: KeptAttachment,
        part: Part,
        error: DoformsError,
        duration: float,
    ) -> None:
        spent = row.spent / SECOND + duration
        following = after_call(account.attachment_retry, error, attempts=row.attempts, spent=spent)
        verdict = "refused" if isinstance(error, Unwanted) else following.verdict
        reason = f"could not be downloaded: {f'{verdict}: ' if verdict else ''}{error}"
        due_at = None if verdict else self._store.now() + micros(following.wait)
        key, subject = kept.notification.key, kept.notification.webservice_id
        log.warning(
            "attachment not downloaded", notification=key, place=row.place, attempt=following.number, reason=reason
        )

        def note(step: AlarmStep) -> None:
            attachments.note_failed(
                step.connection,
                row.id,
                state=AttachmentState.GIVEN_UP if verdict else AttachmentState.DUE,
                reason=reason,
                spent=micros(following.wait + duration),
                due_at=due_at,
                counted=following.counted,
                etag=part.validator if part.offset else None,
            )
            if verdict is not None:
                text = f"notification {key}: {row.place} ({row.filename}) {reason}. {_REMEDY}"
                step.raise_alarm(AlarmKind.ATTACHMENT_MISSING, subject, text)

        await self._alarms.write(note)

    async def _no_spool(self, error: NoRoom | OSError) -> Deferred:
        """Raise the alarm that nothing can be spooled; no attempt is spent."""
        said = (
            str(error)
            if isinstance(error, NoRoom)
            else f"{error.filename or spool_of(self._active.routes).root}: {error.strerror}"
        )
        text = f"attachments cannot be spooled: {said}"
        await self._alarm.begin(str(spool_of(self._active.routes).root), text)
        return Deferred(self._soon(), text)

    def _slot(self, account: Account, priority: Priority) -> asyncio.Semaphore:
        """Return what limits the downloads of an account to half of its calls at once: records go on meanwhile.

        Those of backfilled records have their own, lest they hold it while all others go before them.
        """
        most = max(1, account.max_in_flight // 2)
        known, slots = self._slots.get((account.name, priority), (0, None))
        if slots is None or known != most:  # new, or changed by a reload
            slots = asyncio.Semaphore(most)
            self._slots[account.name, priority] = (most, slots)
        return slots

    def _soon(self) -> int:
        return self._store.now() + micros(_PUT_OFF)


def _path(account: Account, blob: Blob, record: Record) -> str:
    """Return the path below the API from which to download, each value percent-encoded as one segment.

    Raises:
        BadKey: a value would lead elsewhere.
    """
    values = {
        "key": blob.key,
        "id": blob.id or blob.key,
        "record_key": record.key,
        "record_id": record.id or record.key,
    }
    path = account.blob_path
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", segment(value))
    return path
