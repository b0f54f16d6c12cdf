"""A request with attachments: multipart/form-data (RFC 7578), streamed from the spool and the same in every attempt."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from gateway.api import Attachment, check_attachments, stream_attachment

_ESCAPED = {'"': "%22", "\r": "%0D", "\n": "%0A"}
_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: its headers, and what is in it."""

    head: bytes
    content: bytes | Attachment

    @property
    def size(self) -> int:
        """Bytes of its content."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Multipart:
    """A body of several parts; iterating over it reads the attachments anew."""

    parts: Sequence[Part]
    boundary: str

    @property
    def content_type(self) -> str:
        """What the header says."""
        return f"multipart/form-data; boundary={self.boundary}"

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        framing = len(self._between) + len(b"\r\n")
        return sum(framing + len(part.head) + part.size for part in self.parts) + len(self._end)

    @property
    def _between(self) -> bytes:
        return f"--{self.boundary}\r\n".encode()

    @property
    def _end(self) -> bytes:
        return f"--{self.boundary}--\r\n".encode()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield self._between + part.head
            if isinstance(part.content, bytes):
                yield part.content
            else:
                async for piece in stream_attachment(part.content):
                    yield piece
            yield b"\r\n"
        yield self._end

    def check(self) -> None:
        """Raise Unavailable where an attachment is not there whole; nothing was sent then. Blocks."""
        check_attachments(part.content for part in self.parts if isinstance(part.content, Attachment))

    def __str__(self) -> str:
        lines = []
        for part in self.parts:
            lines.append(part.head.decode(errors="replace").strip())
            shown = part.content
            lines.append(shown.decode(errors="replace") if isinstance(shown, bytes) else f"[{shown.size} bytes]")
        return "\n".join(lines)


def make_multipart(
    key: str, values: Sequence[tuple[str, str | None, bytes]], attached: Sequence[tuple[str, Attachment]]
) -> Multipart:
    """Return the body of a delivery with this key: parts of ``(name, content type, content)``, then the attachments."""
    parts = [Part(head=_head(name, kind), content=content) for name, kind, content in values]
    parts += [Part(head=_head(name, _safe_type(one.content_type), one.filename), content=one) for name, one in attached]
    return Multipart(parts=parts, boundary=f"gateway-{hashlib.sha256(key.encode()).hexdigest()[:32]}")


def _head(name: str, kind: str | None, filename: str | None = None) -> bytes:
    of_file = "" if filename is None else f'; filename="{_escaped(filename)}"'
    lines = [f'Content-Disposition: form-data; name="{_escaped(name)}"{of_file}']
    if kind is not None:
        lines.append(f"Content-Type: {kind}")
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode(errors="replace")


def _escaped(text: str) -> str:
    return "".join(_ESCAPED.get(char, char) for char in text)


def _safe_type(content_type: str) -> str:
    return content_type if _TYPE.fullmatch(content_type) else "application/octet-stream"
