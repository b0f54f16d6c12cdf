"""Photos and files of the simulated doForms: given as bytes, or made up as they are asked for."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

_PIECE = 64 * 1024
_RANGE = re.compile(r"bytes=(\d+)-")
_JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"


@dataclass(slots=True, kw_only=True)
class Blob:
    """A photo or file."""

    webservice: str
    key: str
    content: bytes | tuple[int, int]
    """Its bytes, or its size and the seed that its bytes are made from: such a one takes no memory."""
    type: str
    file_name: str
    cuts: list[int]
    """After so many bytes of an answer its connection breaks; one for each of the next answers."""

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self.content) if isinstance(self.content, bytes) else self.content[0]

    @property
    def version(self) -> str:
        """Another one for other bytes."""
        made_of = self.content if isinstance(self.content, bytes) else repr(self.content).encode()
        return hashlib.sha256(made_of).hexdigest()[:16]

    @property
    def answer(self) -> dict[str, str]:
        """What stands for it in a record."""
        return {"key": self.key, "id": f"id-{self.key}", "fileName": self.file_name, "type": self.type}

    def piece(self, index: int) -> bytes:
        """Return the bytes of one piece of `_PIECE` bytes; the last one may be shorter."""
        start, end = index * _PIECE, min((index + 1) * _PIECE, self.size)
        if isinstance(self.content, bytes):
            return self.content[start:end]
        made = random.Random(f"{self.content[1]} {index}").randbytes(end - start)  # nosec B311
        return (_JPEG + made)[: end - start] if index == 0 else made

    def whole(self) -> bytes:
        """Return all of its bytes."""
        return b"".join(self.piece(index) for index in range(-(-self.size // _PIECE)))


def serve_blob(request: Request, blob: Blob) -> Response:
    """Answer with a photo or file, or with the part of it that is asked for."""
    etag = f'"{blob.version}"'
    headers = {"Content-Type": blob.type, "ETag": etag, "Accept-Ranges": "bytes"}
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    offset = int(asked[1]) if asked and request.headers.get("if-range", etag) == etag else 0
    if offset >= blob.size > 0:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{blob.size}"})
    if offset:
        headers["Content-Range"] = f"bytes {offset}-{blob.size - 1}/{blob.size}"
    headers["Content-Length"] = str(blob.size - offset)
    cut = blob.cuts.pop(0) if blob.cuts else None
    return StreamingResponse(_pieces(blob, offset, cut), 206 if offset else 200, headers)


async def _pieces(blob: Blob, offset: int, cut: int | None) -> AsyncIterator[bytes]:
    sent = 0
    while offset < blob.size:
        piece = blob.piece(offset // _PIECE)[offset % _PIECE :]
        if cut is not None and sent + len(piece) >= cut:
            yield piece[: cut - sent]
            return  # less than the Content-Length promised: the server ends the connection
        yield piece
        offset, sent = offset + len(piece), sent + len(piece)
