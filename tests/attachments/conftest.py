"""The fetcher of attachments on a real store and a simulated doForms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.attachments.attachment_set import AttachmentSet
from gateway.attachments.fetcher import AttachmentFetcher
from gateway.retry import Deferred
from gateway.store.work import attachments
from gateway.store.work.attachments import KeptAttachment
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES, TEXT, Parts, doforms, http, parts, simulator, store
from tests.support.sink import load_routes

__all__ = ["doforms", "http", "parts", "simulator", "store"]

PHOTO = b"\xff\xd8\xff" + bytes(range(256)) * 800
"""More than one piece."""


def desk_of(parts: Parts) -> AttachmentFetcher:
    return AttachmentFetcher(store=parts.store, active=parts.active, gate=parts.gate)


@dataclass
class Fetching:
    """The fetcher with what it works on."""

    parts: Parts
    folder: Path
    fetcher: AttachmentFetcher

    def another(self) -> AttachmentFetcher:
        """Make the fetcher of another process on the same store."""
        return desk_of(self.parts)

    def load(self, doforms: str = "", gateway: str = "") -> None:
        """Load routes with more settings in ``[doforms]`` and ``[gateway]``."""
        text = ROUTES.format(api=self.parts.doforms.api, webservice=WEBSERVICE, more="", text=TEXT)
        text = text.replace("[webservices.i", f"{doforms}\n[webservices.i", 1)
        self.parts.active.load(load_routes(self.folder, f"[gateway]\n{gateway}\n{text}"))

    def put(self, key: str = "p1", content: bytes | tuple[int, int] = PHOTO, **more: Any) -> dict[str, str]:
        return self.parts.doforms.put_blob(WEBSERVICE, key, content, **more)

    async def attached(self, key: str = "n1", *, required: bool = False, **fields: Any) -> AttachmentSet:
        """Ask for the attachments of a notification whose record has these answers."""
        self.parts.doforms.put_record(WEBSERVICE, "r1", fields)
        try:
            kept = await self.parts.kept((await self.parts.row(key)).id)
        except Exception:
            kept = await self.parts.keep(key)
        found = await self.parts.fetcher.records(kept)
        return await self.fetcher.attached(kept, found.record, required=required)

    async def again(self, key: str = "n1", *, required: bool = False) -> AttachmentSet:
        """Ask once more, when it is due."""
        kept = await self.parts.kept((await self.parts.row(key)).id)
        await self.parts.store.write(
            lambda c: c.execute(attachments.update(attachments.attachments).values(due_at=None))
        )
        return await self.fetcher.attached(kept, (await self.parts.fetcher.records(kept)).record, required=required)

    async def put_off(self, **fields: Any) -> Deferred:
        with pytest.raises(Deferred) as raised:
            await self.attached(**fields)
        return raised.value

    async def rows(self, key: str = "n1") -> dict[str, KeptAttachment]:
        id_ = (await self.parts.row(key)).id
        return await self.parts.store.read(lambda c: attachments.load(c, id_))

    def asked(self) -> list[str]:
        return [one.path.rpartition("/")[2] for one in self.parts.doforms.requests if "/blobs/" in one.path]

    async def has_begun(self) -> bool:
        return bool(self.files())

    def files(self) -> list[Path]:
        spool = self.parts.active.routes.spool
        return [path for path in spool.rglob("*") if path.is_file()] if spool.exists() else []


@pytest.fixture
def fetcher(parts: Parts, tmp_path: Path) -> Fetching:
    parts.doforms.world.blobs.clear()
    made = desk_of(parts)
    return Fetching(parts, tmp_path, made)
