"""Helpers for plugins: choose attachments by an option, and read them without holding them in memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence

from gateway.errors import Unavailable
from gateway.models import Attachment

_PIECE = 256 * 1024
_NUMBER = re.compile(r"\[\d+\]")
_SCOPE = re.compile(r"(record|submission|dispatch)\.(?:fields|tables|paths)\.")
"""What a path has no use for: it begins at a question."""
_PATH = re.compile(r"\*|[^.\[\]*]+(\[\])?(\.[^.\[\]*]+(\[\])?)*")


def fault_of_attachment_path(path: str) -> str | None:
    """Tell what is wrong with a path into the record, such as ``photo``, ``findings[].photo`` or ``*``."""
    if begins := _SCOPE.match(path):
        rest = repr(path[begins.end() :])
        where = "" if begins[1] == "record" else f", in a route for whose events that is the {begins[1]}"
        return f"{path!r} begins like a template: attach names questions of `record`. Write {rest}{where}"
    if _PATH.fullmatch(path):
        return None
    return f"{path!r} is no path into a record. Write a question, table[].question, or * for every attachment"


def select_attachments(attachments: Iterable[Attachment], paths: Sequence[str]) -> list[Attachment]:
    """Return the attachments that any of the paths names, in the order in which they stand in the record.

    ``photo`` names the question wherever it stands outside of tables, ``safety.photo`` the one of that section,
    ``findings[].photo``, or ``findings.photo``, those of all rows of a table, ``*`` everything.
    """
    return [one for one in attachments if any(_names(path, one.place) for path in paths)]


def _names(path: str, place: str) -> bool:
    if path == "*":
        return True
    wanted = [part.removesuffix("[]") for part in path.split(".")]
    standing = _NUMBER.sub("[]", place).split(".")
    around, named = standing[: -len(wanted)], standing[-len(wanted) :]
    return [part.removesuffix("[]") for part in named] == wanted and not any(part.endswith("[]") for part in around)


def check_attachments(attachments: Iterable[Attachment]) -> None:
    """Raise Unavailable where one is not there whole: call it before anything is sent. Blocks."""
    for one in attachments:
        try:
            found = one.path.stat().st_size
        except OSError as error:
            raise Unavailable(f"{one.place}: {one.path} cannot be read: {error.strerror}") from error
        if found != one.size:
            raise Unavailable(f"{one.place}: {one.path} has {found} bytes instead of {one.size}")


async def stream_attachment(attachment: Attachment) -> AsyncIterator[bytes]:
    """Yield what is in an attachment, piece by piece, read in threads; raises OSError."""
    file = await asyncio.to_thread(attachment.path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece
    finally:
        file.close()
