"""The ``file`` destination."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from gateway.api import (
    Context,
    Delivery,
    DeliveryError,
    Destination,
    Finding,
    Receipt,
    Rejected,
    Repeatable,
    Traits,
    Unavailable,
    Uncertain,
    Use,
    check_attachments,
)
from gateway_file.append import append
from gateway_file.atomic_write import write_whole
from gateway_file.attachments import folder_of_attachments, named
from gateway_file.check import check_headers, check_root
from gateway_file.content import file_bytes, rows_to_add
from gateway_file.index import Index
from gateway_file.names import safe_path
from gateway_file.options import Exists, FileOptions, FileSettings, revealed
from gateway_file.remote import Remote, refuse_unknown
from gateway_file.review import review


class File(Destination[FileSettings, FileOptions]):
    """Writes a file for each delivery, or adds rows to one."""

    name = "file"
    Settings = FileSettings
    Options = FileOptions

    def __init__(self, settings: FileSettings, context: Context) -> None:
        super().__init__(settings, context)
        refuse_unknown(settings.root)
        self._root = Path(settings.root.removeprefix("file://").removeprefix("local://")).expanduser()
        self._remote: Remote | None = None
        self._opening = asyncio.Lock()
        self._index = Index()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def traits(self, options: FileOptions) -> Traits:
        """A local file takes milliseconds; only numbered files show a repeat."""
        whole = options.columns is None and options.format.value in ("json", "jsonl")
        return Traits(
            expected_latency=0.05 if self.settings.local else 1.0,
            repeatable=Repeatable.NO if options.exists is Exists.NUMBER else Repeatable.YES,
            needs=frozenset({"record"}) if whole else frozenset(),
        )

    def review(self, options: FileOptions) -> Sequence[Finding]:
        """Find options that do not fit together, or not to this root."""
        return list(review(options, local=self.settings.local))

    async def deliver(self, delivery: Delivery[FileOptions]) -> Receipt:
        """Write the file, or add the rows, with the attachments beside it."""
        relative, options = safe_path(delivery.options.filename), delivery.options
        if delivery.attachments:
            await self.context.in_thread(check_attachments, delivery.attachments)
        if options.exists is Exists.NUMBER:  # only the file's own name tells where its attachments go
            receipt, placed = await self._write_file(delivery, relative)
            try:
                return await self._with_attachments(receipt, delivery, placed or relative)
            except DeliveryError as error:  # another attempt would write the file once more, under another number
                raise Uncertain(f"{receipt.summary} was written, not all of its attachments: {error}") from error
        # The attachments first: whoever waits for the file finds them there.
        written = await self._with_attachments(Receipt(summary=""), delivery, relative)
        if options.format.appends:
            receipt = await self._add_rows(delivery, relative)
        else:
            receipt, _ = await self._write_file(delivery, relative)
        return replace(
            receipt, summary=receipt.summary + written.summary, details={**receipt.details, **written.details}
        )

    async def _write_file(self, delivery: Delivery[FileOptions], relative: str) -> tuple[Receipt, str | None]:
        content = file_bytes(delivery)
        placed = await self._write(relative, content, delivery.options.exists)
        if placed is None:
            there = self._shown(relative)
            details = {"path": there, "written": False}
            return Receipt(summary=f"{there} was there, left as it was", details=details), None
        return self._receipt(self._shown(placed), content, {"written": True}), placed

    async def _with_attachments(self, receipt: Receipt, delivery: Delivery[FileOptions], relative: str) -> Receipt:
        """Write the attachments of a delivery; returns the receipt with what it says of them added."""
        if not delivery.attachments:
            return receipt
        folder = folder_of_attachments(relative, delivery)
        exists = Exists.SKIP if delivery.options.exists is Exists.SKIP else Exists.REPLACE
        for name, one in named(delivery):
            await self._write(f"{folder}/{name}", one.path, exists)
        count, shown = len(delivery.attachments), self._shown(folder)
        return replace(
            receipt,
            summary=f"{receipt.summary}, {count} {'attachment' if count == 1 else 'attachments'} in {shown}",
            details={**receipt.details, "attachments": count, "attachments_in": shown},
        )

    async def _write(self, relative: str, content: bytes | Path, exists: Exists) -> str | None:
        if self.settings.local:
            return await self.context.in_thread(write_whole, self._root, relative, content, exists)
        remote = await self._opened()
        try:
            return await self.context.in_thread(remote.write_whole, relative, content, exists)
        finally:
            self._forget_if_broken(remote)

    async def _add_rows(self, delivery: Delivery[FileOptions], relative: str) -> Receipt:
        if not self.settings.local:
            raise Rejected("rows can be added to files in a folder of this machine only, and the root is a URL")
        shown, rows = self._shown(relative), rows_to_add(delivery)
        if not rows.data:
            return Receipt(summary=f"no rows for {shown}", details={"path": shown, "written": False})
        # One at a time here, so that the others do not each keep a thread waiting for the lock.
        async with self._turns.setdefault(relative, asyncio.Lock()):
            seconds = (delivery.deadline - self.context.clock()).total_seconds()
            if seconds <= 0:
                raise Unavailable(f"{shown}: it was not this delivery's turn in time")
            added = await self.context.in_thread(
                append,
                self._root,
                relative,
                rows,
                delivery.options.format,
                index=self._index,
                log=self.context.log,
                seconds=seconds,
            )
        if added.offset is None:
            return Receipt(summary=f"{shown} holds these rows already", details={"path": shown, "written": False})
        return self._receipt(shown, added.data, {"written": True, "offset": added.offset})

    def _receipt(self, path: str, content: bytes, details: dict[str, object]) -> Receipt:
        checksum = hashlib.sha256(content).hexdigest()
        size = len(content)
        return Receipt(
            summary=f"{path} ({size} bytes, sha256 {checksum[:12]}…)",
            details={"path": path, "size": size, "sha256": checksum, **details},
        )

    def _shown(self, relative: str) -> str:
        return str(self._root / relative) if self.settings.local else f"{self.settings.root.rstrip('/')}/{relative}"

    async def _opened(self) -> Remote:
        async with self._opening:
            if self._remote is None:
                self._remote = await self.context.in_thread(
                    Remote, self.settings.root, revealed(self.settings.credentials)
                )
            return self._remote

    def _forget_if_broken(self, remote: Remote) -> None:
        """Have the next delivery open a connection of its own; others may still be at work over this one."""
        if remote.broken and self._remote is remote:
            self._remote = None

    async def close(self) -> None:
        """Close the connection."""
        if self._remote is not None:
            await self.context.in_thread(self._remote.close)

    def preview(self, delivery: Delivery[FileOptions]) -> str:
        """Show path and content."""
        try:
            relative = safe_path(delivery.options.filename)
            path, folder = self._shown(relative), self._shown(folder_of_attachments(relative, delivery))
            path += "".join(f"\n{folder}/{name}" for name, _ in named(delivery))
            if not delivery.options.format.appends:
                return f"{path}\n\n{file_bytes(delivery).decode()}"
            rows = rows_to_add(delivery)
            return f"{path} (added to)\n\n{(rows.header + rows.data).decode()}"
        except Rejected as error:
            return f"would be rejected: {error}"

    async def check(self, uses: Sequence[Use[FileOptions]]) -> Sequence[Finding]:
        """Look whether the root is there and may be written to, and whether csv files have the columns of today."""
        if self.settings.local:
            return [
                *await self.context.in_thread(check_root, self._root),
                *await self.context.in_thread(check_headers, self._root, uses),
            ]
        try:
            remote = await self._opened()
            try:
                await self.context.in_thread(remote.list_root)
            finally:
                self._forget_if_broken(remote)
        except DeliveryError as error:
            return [Finding(where="root", found=str(error), remedy="Mend root or credentials")]
        return []
