"""File names: what a template gave becomes a path that is safe on every file system and stays below the root."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from urllib.parse import unquote

from gateway.api import Rejected

_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/\\:*?"<>|]')
_UNSEEN = re.compile(r"[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
"""Marks that turn the direction of writing or cannot be seen: by them ``cod\u202egnp.exe`` shows as a picture."""
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|clock\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever blanks and suffix follow; folders are often shared with it."""
_LONGEST = 200
"""Bytes of a name. File systems take 255; the rest is for the names of what is written aside."""
_DEEPEST = 20


def safe_path(rendered: str) -> str:
    """Return the relative path, with ``/`` between its parts, that a rendered file name means.

    Slashes of the template are folders. Whatever came out of a value arrives percent-encoded, and its slashes and other
    characters with a meaning become underscores.

    Raises:
        Rejected: it is absolute, has an empty part or a ``..``, or is too deep.
    """
    parts = rendered.split("/")
    if len(parts) > _DEEPEST:
        raise Rejected(f"filename: {_shown(rendered)} is more than {_DEEPEST} folders deep")
    return "/".join(_safe_part(unquote(part, errors="replace"), rendered) for part in parts)


def _safe_part(part: str, rendered: str) -> str:
    name = unicodedata.normalize("NFC", part).strip()
    if name in (".", ".."):
        raise Rejected(f"filename: {_shown(rendered)} has the part {name!r}, which could lead out of the root")
    name = _UNSEEN.sub("_", _UNSAFE.sub("_", name)).rstrip(". ")
    if not name:
        raise Rejected(
            f"filename: {_shown(rendered)} has an empty part: it starts or ends with a slash, or a value in it is empty"
        )
    if name.startswith("."):
        name = "_" + name[1:]  # hidden names are kept for locks and for what is written aside
    if _RESERVED.fullmatch(name):
        name = "_" + name
    return _fitting(name)


def _fitting(name: str) -> str:
    """Shorten a name that is too long, by a digest that keeps it apart from others that start the same."""
    if len(name.encode("utf-8")) <= _LONGEST:
        return name
    stem, suffix = split_suffix(name)
    end = f"~{hashlib.sha256(name.encode('utf-8')).hexdigest()[:12]}{suffix}"
    room = _LONGEST - len(end.encode("utf-8"))
    return stem.encode("utf-8")[:room].decode("utf-8", "ignore") + end


def split_suffix(name: str) -> tuple[str, str]:
    """Split ``report.json`` into ``report`` and ``.json``; a suffix is short and has no spaces."""
    match = re.fullmatch(r"(.+)(\.\w{1,10})", name)
    return (match[1], match[2]) if match else (name, "")


def numbered(path: str, number: int) -> str:
    """Return ``folder/report-2.json`` for ``folder/report.json`` and 2."""
    folder, slash, name = path.rpartition("/")
    stem, suffix = split_suffix(name)
    return f"{folder}{slash}{stem}-{number}{suffix}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:100] + "…")
