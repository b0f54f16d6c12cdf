"""Downloads a photo or file: streamed, resumed where it broke off, refused if it is something else."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import httpx

from gateway.doforms.failures import Later, NotAnAttachment, Unwanted

WITHIN = 600.0
"""Seconds for one call; what has come by then is kept, and the next call goes on behind it."""
ANY = "application/octet-stream"
_LOOKED_AT = 2048
_PIECE = 128 * 1024
_ERRORS = frozenset({"text/html", "application/json", "application/problem+json"})
"""Types in which servers say what went wrong."""
_RANGE = re.compile(r"bytes (\d+)-\d*/(\d+|\*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an attachment may be."""

    expected: str | None
    """The type that doForms said it has; None: nobody knows."""
    largest: int
    """Bytes."""
    types: Sequence[str]
    """Patterns such as ``image/*``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """An attachment that is whole."""

    content_type: str
    size: int


class Target(Protocol):
    """Where a download goes."""

    @property
    def offset(self) -> int:
        """How many bytes are there from an earlier call."""
        ...

    @property
    def validator(self) -> str | None:
        """The ETag of what is there, if it is known."""
        ...

    async def expect(self, size: int | None, validator: str | None, *, afresh: bool) -> None:
        """Note how large the whole will be and its ETag; ``afresh`` drops what is there. May raise `NoRoom`."""
        ...

    async def write(self, piece: bytes) -> None:
        """Take the next bytes."""
        ...


def headers_for(target: Target) -> dict[bytes, bytes]:
    """Return the headers that ask for what is still missing."""
    headers = {b"Accept-Encoding": b"identity", b"Accept": b"*/*"}
    if target.offset:
        headers[b"Range"] = f"bytes={target.offset}-".encode()
        if target.validator:
            headers[b"If-Range"] = target.validator.encode("latin-1", "replace")
    return headers


async def receive(answer: httpx.Response, target: Target, wanted: Wanted) -> Downloaded:
    """Stream a successful answer into its target.

    Raises:
        NotAnAttachment: it holds something else: an error, a page, nothing.
        Unwanted: it is too large, or of a type that is not wanted.
        Later: it broke off, or does not fit what had come before.
    """
    content_type = _type_of(answer, wanted)
    size = _whole_size(answer, target)
    if size is not None and size > wanted.largest:
        raise Unwanted(f"it has {size} bytes, and `largest_attachment` allows {wanted.largest}")
    pieces = answer.aiter_bytes(_PIECE)
    first = await anext(pieces, b"")
    resumed = answer.status_code == httpx.codes.PARTIAL_CONTENT and target.offset > 0
    if not resumed:
        _look_at(first, content_type, wanted)
    elif answer.headers.get("etag", target.validator) != target.validator:  # whatever If-Range asked for
        await target.expect(None, None, afresh=True)
        raise Later("doForms sent a part of another version than the one that had come before")
    if not any(fnmatch.fnmatchcase(content_type, pattern) for pattern in wanted.types):
        raise Unwanted(f"it is {content_type}, and `attachment_types` allows {', '.join(wanted.types)}")
    # An ETag of what came compressed tells nothing of the bytes that were kept.
    await target.expect(size, None if _is_encoded(answer) else answer.headers.get("etag"), afresh=not resumed)
    piece = first
    while piece:
        if target.offset + len(piece) > wanted.largest:
            raise Unwanted(f"it has more than {wanted.largest} bytes, which `largest_attachment` allows")
        await target.write(piece)
        piece = await anext(pieces, b"")
    if size is not None and target.offset != size:
        raise Later(f"it broke off after {target.offset} of {size} bytes")
    return Downloaded(content_type=content_type, size=target.offset)


def _type_of(answer: httpx.Response, wanted: Wanted) -> str:
    """Return the type that the answer says it has; one that says nothing has the type that was expected."""
    told: str = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return wanted.expected or ANY if told in ("", ANY, "binary/octet-stream") else told


def _whole_size(answer: httpx.Response, target: Target) -> int | None:
    """Return the size of the whole thing; None: the answer does not tell."""
    if answer.status_code == httpx.codes.PARTIAL_CONTENT:
        match = _RANGE.fullmatch(answer.headers.get("content-range", ""))
        if match is None or int(match[1]) != target.offset:
            raise Later(f"doForms sent another part than was asked for: {answer.headers.get('content-range')!r:.60}")
        return None if match[2] == "*" else int(match[2])
    length = answer.headers.get("content-length", "")
    return int(length) if length.isdigit() and not _is_encoded(answer) else None


def _is_encoded(answer: httpx.Response) -> bool:
    coding: str = answer.headers.get("content-encoding", "identity")
    return coding != "identity"


def _look_at(first: bytes, content_type: str, wanted: Wanted) -> None:
    """Refuse what is no photo or file: an empty body, or a text in which a server says what went wrong."""
    if not first:
        raise NotAnAttachment("doForms answered with an empty body instead of the attachment")
    is_error = content_type in _ERRORS and content_type != wanted.expected
    is_text = content_type.startswith("text/") or first.lstrip()[:1] in (b"{", b"[", b"<")
    if is_error or (is_text and _is_binary(wanted.expected or content_type)):
        shown = " ".join(first[:_LOOKED_AT].decode(errors="replace").split())[:300]
        text = f"doForms answered with {content_type} instead of {wanted.expected or 'an attachment'}: {shown}"
        raise NotAnAttachment(text, body=first[:_LOOKED_AT])


def _is_binary(content_type: str) -> bool:
    """Tell whether it is a picture, a recording, a film or a document: none of them begins as JSON or a page does."""
    kind, _, subtype = content_type.partition("/")
    if kind in ("image", "audio", "video"):
        return "svg" not in subtype
    return kind == "application" and (subtype in ("pdf", "zip") or "openxmlformats" in subtype)
