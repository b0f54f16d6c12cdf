"""Decoding a listing: which records doForms received in a window of time, by key and id, no field data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gateway.doforms.failures import NotAListing, is_page

MOST = 1000
"""Records that doForms lists in one answer."""
LARGEST = 2 * 1024 * 1024
"""Bytes of a listing: some ten times what doForms needs for so many."""
_WRAPPERS = ("submissions", "items", "data")
_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRecord:
    """One line of a listing."""

    key: str
    id: str | None
    """What a record can be read by where its key does not work."""


def decode_listing(raw: bytes) -> list[ListedRecord]:
    """Decode the body of a listing, in doForms' order.

    Raises:
        NotAListing: the body is empty, too large, no JSON, no array, or an array with something in it that has no key.
    """
    if len(raw) > LARGEST:
        raise NotAListing(f"doForms answered with a listing of {len(raw)} bytes; at most {LARGEST} are taken apart")
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        text = f"doForms answered with no JSON instead of a listing: {_cut(raw)}"
        raise NotAListing(text, is_page=is_page(raw)) from None
    if isinstance(data, dict):
        data = next((data[wrapper] for wrapper in _WRAPPERS if isinstance(data.get(wrapper), list)), data)
    if not isinstance(data, list):
        raise NotAListing(f"doForms answered with JSON that is no listing (it is no array): {_cut(raw)}")
    return [_listed(one, raw) for one in data]


def _listed(one: Any, raw: bytes) -> ListedRecord:
    key = one.get("key") if isinstance(one, dict) else None
    if not isinstance(key, str) or not key:
        raise NotAListing(f"doForms answered with a listing in which a line has no key: {_cut(raw)}")
    id_ = one.get("id")
    return ListedRecord(key=key, id=None if id_ is None else str(id_))


def _cut(raw: bytes) -> str:
    return raw[:_SHOWN].decode(errors="replace") or "an empty body"
