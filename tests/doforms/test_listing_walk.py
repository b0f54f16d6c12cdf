"""Listings are split until none is full, against a doForms that lists at most a thousand."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from gateway.doforms.failures import NotAListing
from gateway.doforms.listing import MOST, ListedRecord
from gateway.doforms.listing_walk import STEP, Page, aligned, walk
from gateway.doforms.synthetic import stand_in
from gateway.errors import NotANotification
from gateway.models import Event

BEGIN = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Listed:
    """Records by the time they were received, and how often was asked for them."""

    at: Sequence[datetime]
    asked: Counter[int] = field(default_factory=Counter)
    """By how many were skipped."""

    async def __call__(self, begin: datetime, end: datetime, skip: int) -> Sequence[ListedRecord]:
        self.asked[skip] += 1
        own = [number for number, at in enumerate(self.at) if begin <= at < end]
        return [ListedRecord(key=f"r{number}", id=None) for number in own[skip : skip + MOST]]

    def walk(self, begin: datetime = BEGIN, end: datetime = BEGIN + DAY) -> list[Page]:
        """Return all pages."""

        async def pages() -> list[Page]:
            return [page async for page in walk(self, begin, end)]

        return asyncio.run(pages())


def keys(pages: Sequence[Page]) -> list[str]:
    return [record.key for page in pages for record in page.records]


def test_a_listing_that_is_not_full_is_asked_for_once() -> None:
    listed = Listed([BEGIN + timedelta(seconds=number) for number in range(MOST - 1)])
    [page] = listed.walk()
    assert (page.begin, page.end, page.last, len(page.records)) == (BEGIN, BEGIN + DAY, True, MOST - 1)
    assert listed.asked.total() == 1


def test_a_full_one_is_split_and_the_windows_touch_without_overlapping() -> None:
    listed = Listed([BEGIN + number * DAY / 5000 for number in range(5000)])
    pages = listed.walk()
    assert sorted(keys(pages)) == sorted(f"r{number}" for number in range(5000))
    assert [page.begin for page in pages[1:]] == [page.end for page in pages[:-1]]
    assert set(listed.asked) == {0}
    assert all(len(page.records) < MOST and page.last for page in pages)


def test_only_a_window_that_cannot_be_split_is_paged() -> None:
    at = BEGIN + timedelta(hours=5, milliseconds=7)
    listed = Listed([at] * 2500 + [at + STEP])
    pages = listed.walk()
    assert Counter(keys(pages)) == Counter(f"r{number}" for number in range(2501))
    dense = [page for page in pages if page.begin == at]
    assert [(len(page.records), page.last) for page in dense] == [(1000, False), (1000, False), (500, True)]
    assert listed.asked[1000] == listed.asked[2000] == 1


def test_a_window_without_time_is_not_asked_for() -> None:
    listed = Listed([BEGIN])
    assert listed.walk(BEGIN, BEGIN) == []
    assert listed.asked.total() == 0


async def test_a_doforms_that_does_not_heed_what_it_is_asked_for_is_found_out() -> None:
    asked = 0

    async def ask(begin: datetime, end: datetime, skip: int) -> Sequence[ListedRecord]:
        nonlocal asked
        asked += 1
        return [ListedRecord(key=f"r{number}", id=None) for number in range(MOST)]

    with pytest.raises(NotAListing, match="does not seem to heed"):
        _ = [page async for page in walk(ask, BEGIN, BEGIN + DAY)]
    assert asked < 40


async def test_it_is_found_out_also_where_a_window_between_was_empty() -> None:
    async def ask(begin: datetime, end: datetime, skip: int) -> Sequence[ListedRecord]:
        if end - begin > DAY / 4:
            return [ListedRecord(key=f"r{number}", id=None) for number in range(MOST)]
        return [ListedRecord(key="r0", id=None)] if begin in (BEGIN, BEGIN + DAY / 2) else []

    with pytest.raises(NotAListing, match="does not seem to heed"):
        _ = [page async for page in walk(ask, BEGIN, BEGIN + DAY)]


def test_times_are_those_that_can_be_asked_for() -> None:
    assert aligned(BEGIN + timedelta(microseconds=1999)) == BEGIN + STEP


def test_the_stand_in_of_a_record_is_a_notification_with_a_key_that_stays() -> None:
    made = stand_in("acme$$1", ListedRecord(key="r1", id="17"), BEGIN)
    assert (made.key, made.submission_key, made.event, made.created) == ("backfill:r1", "r1", Event.CREATE, None)
    long = ListedRecord(key="r" * 510, id=None)
    assert stand_in("acme$$1", long, BEGIN).key == stand_in("acme$$1", long, BEGIN + DAY).key
    assert len(stand_in("acme$$1", long, BEGIN).key) <= 512


@pytest.mark.parametrize("key", ["a\0b", "\ud800", "r" * 513])
def test_a_record_whose_key_cannot_be_kept_is_refused(key: str) -> None:
    with pytest.raises(NotANotification):
        stand_in("acme$$1", ListedRecord(key=key, id=None), BEGIN)
