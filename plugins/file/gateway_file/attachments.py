"""Where attachments go: into a folder beside the file of their record, each under the name of its question."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from urllib.parse import quote

from gateway.api import Attachment, Delivery
from gateway_file.names import numbered, safe_path, split_suffix
from gateway_file.options import FileOptions

_ROW = re.compile(r"\[(\d+)\]")


def folder_of_attachments(relative: str, delivery: Delivery[FileOptions]) -> str:
    """Return the folder for the attachments of what is written to a file: ``in/17-attachments`` for ``in/17.json``.

    A file to which many records are added has a folder in it for each of them.
    """
    folder, slash, name = relative.rpartition("/")
    beside = f"{folder}{slash}{split_suffix(name)[0]}-attachments"
    if not delivery.options.format.appends:
        return beside
    key = delivery.key if delivery.record is None else delivery.record.key
    return f"{beside}/{safe_path(quote(key, safe=''))}"


def named(delivery: Delivery[FileOptions]) -> Iterator[tuple[str, Attachment]]:
    """Yield each attachment with its name: ``photo.jpg``, ``findings-1-photo.jpg`` for that of the first row.

    The same delivery gives the same names.
    """
    taken: set[str] = set()
    for one in delivery.attachments:
        stem = _ROW.sub(lambda row: f"-{int(row[1]) + 1}", one.place).replace(".", "-")
        suffix = split_suffix(one.filename)[1] or mimetypes.guess_extension(one.content_type) or ""
        name = first = safe_path(quote(f"{stem}{suffix}", safe=""))
        number = 1
        while name.casefold() in taken:
            number += 1
            name = numbered(first, number)
        taken.add(name.casefold())
        yield name, one
