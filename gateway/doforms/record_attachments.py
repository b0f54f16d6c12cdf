"""The photos, signatures and files that a decoded record names, and where it names them."""

from __future__ import annotations

import copy
import mimetypes
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.doforms.notification import fits
from gateway.models import Record

_ABOUT = frozenset({"key", "id", "fileName", "type", "size", "contentType", "url"})
"""Properties that a blob without a file name may have; a row of a table has others."""
_DEEPEST = 100
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff/\\:*?"<>|]')
"""With the marks that turn the direction of a text round: they make ``gpj.exe`` look like ``exe.jpg``."""
_LONGEST_NAME = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """What a record says of one photo, signature or file; nothing is downloaded yet."""

    key: str
    id: str | None
    places: tuple[str, ...]
    """Where it stands in the record, the first place first: ``photo``, ``findings[0].photo``."""
    filename: str
    """Without folders; made up from the question where doForms names none."""
    content_type: str | None
    """The expected type, from what doForms says or from the ending of the name; None: nobody knows."""


def find_blobs(record: Record) -> list[Blob]:
    """Return the attachments of a record, each once, in the order in which they stand in it."""
    found: dict[str, Blob] = {}
    for path, value in record.paths.items():
        for place, one in _walk(value, path, 0):
            key = _key(one)
            known = found.get(key)
            found[key] = _blob(key, place, one) if known is None else replace(known, places=(*known.places, place))
    return list(found.values())


def with_known(record: Record, known: Mapping[str, Mapping[str, Any]]) -> Record:
    """Return a record whose attachments carry what is ``known`` of them, by key, beside what doForms says.

    ``raw`` stays as it came.
    """
    if not known:
        return record
    return replace(
        record,
        fields=_enriched(record.fields, known, 0),
        tables=_enriched(record.tables, known, 0),
        paths=_enriched(record.paths, known, 0),
    )


def is_blob(value: Any) -> bool:
    """Tell whether an answer stands for a photo, a signature or a file."""
    if not isinstance(value, Mapping) or not _key(value):
        return False
    if isinstance(value.get("fileName"), str):
        return True
    return isinstance(value.get("type"), str) and value.keys() <= _ABOUT


def _key(value: Mapping[str, Any]) -> str:
    key = value.get("key") or value.get("id")
    return key if isinstance(key, str) and key.isprintable() and fits(key) else ""


def _walk(value: Any, place: str, depth: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if depth > _DEEPEST:
        return
    if is_blob(value):
        yield place, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _walk(item, f"{place}.{name}", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, f"{place}[{index}]", depth + 1)


def _blob(key: str, place: str, one: Mapping[str, Any]) -> Blob:
    told = one.get("contentType") or one.get("type")
    expected = told.partition(";")[0].strip().lower() if isinstance(told, str) and "/" in told else None
    filename = safe_filename(one.get("fileName"))
    guessed = expected or mimetypes.guess_type(filename)[0]
    question = _UNSAFE.sub("_", place.rpartition(".")[2].partition("[")[0]) or "attachment"
    return Blob(
        key=key,
        id=one["id"] if isinstance(one.get("id"), str) else None,
        places=(place,),
        filename=filename or f"{question}{mimetypes.guess_extension(guessed or '') or ''}",
        content_type=guessed,
    )


def safe_filename(name: Any) -> str:
    """Return the last part of a file name, without characters that no file system likes; empty if nothing is left."""
    if not isinstance(name, str):
        return ""
    last = re.split(r"[/\\]", name)[-1]
    clean = _UNSAFE.sub("_", last).strip().strip(".")
    stem, dot, suffix = clean.rpartition(".")
    if len(clean) > _LONGEST_NAME:
        return f"{stem[: _LONGEST_NAME - 20]}{dot}{suffix[:19]}" if stem else clean[:_LONGEST_NAME]
    return clean


def _enriched(value: Any, known: Mapping[str, Mapping[str, Any]], depth: int) -> Any:
    if depth > _DEEPEST:
        return value
    if is_blob(value):
        return {**value, **known.get(_key(value), {})}
    if isinstance(value, list):
        return [_enriched(item, known, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    changed = copy.copy(value)  # answers are more than a dict: they refuse a name that stands in several places
    for name, item in value.items():
        changed[name] = _enriched(item, known, depth + 1)
    return changed
