"""Listings of records by the time they were received."""

from __future__ import annotations

import pytest

from gateway.doforms.failures import NotAListing
from gateway.doforms.listing import ListedRecord, decode_listing


def test_a_listing_gives_keys_and_ids_in_its_order() -> None:
    raw = b'[{"key": "b", "id": 7}, {"key": "a", "id": "x"}, {"key": "c"}]'
    assert decode_listing(raw) == [
        ListedRecord(key="b", id="7"),
        ListedRecord(key="a", id="x"),
        ListedRecord(key="c", id=None),
    ]


@pytest.mark.parametrize("wrapper", ["submissions", "items", "data"])
def test_a_listing_may_stand_inside_an_object(wrapper: str) -> None:
    raw = b'{"submissions": 1, "%s": [{"key": "a", "id": "x"}]}' % wrapper.encode()
    assert decode_listing(raw) == [ListedRecord(key="a", id="x")]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "an empty body"),
        (b"<html>", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"error": "Over quota."}', "no array"),
        (b'[{"id": "x"}]', "has no key"),
        (b"[null]", "has no key"),
        (b'[{"key": ""}]', "has no key"),
    ],
)
def test_what_is_no_listing_is_told(raw: bytes, told: str) -> None:
    with pytest.raises(NotAListing, match=told):
        decode_listing(raw)
