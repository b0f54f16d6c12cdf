"""Where a record is looked for, and how listings are read to their end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from gateway.delivery.windows import ListPage, Window, pages, windows_of
from gateway.doforms.failures import Later, Refused
from gateway.doforms.listing import MOST, ListedRecord
from tests.support.keeping import notification

NOON = datetime(2026, 3, 1, 12, 0, 20, tzinfo=UTC)
WINDOW = Window(NOON, NOON + timedelta(minutes=32))
"""It has its records at its very beginning, a hundred each second."""


def minutes(*of: datetime) -> list[str]:
    return [f"{one:%d %H:%M}" for one in of]


def server(count: int, *, skips: int | None = None, heeds: bool = True) -> tuple[ListPage, list[int]]:
    """A doForms with so many records that lets so many be skipped, or does not heed ``skip``."""
    asked: list[int] = []

    async def list_page(window: Window, skip: int) -> Sequence[ListedRecord]:
        asked.append(skip)
        if skips is not None and skip > skips:
            raise Refused("skip is too large")
        times = ((number, NOON + timedelta(seconds=number / 100)) for number in range(count))
        inside = [ListedRecord(key=str(number), id=None) for number, at in times if window.begin <= at < window.end]
        start = skip if heeds else 0
        return inside[start : start + MOST]

    return list_page, asked


async def read(list_page: ListPage) -> set[str]:
    return {one.key async for page in pages([WINDOW], list_page) for one in page}


def test_a_record_is_looked_for_a_quarter_of_an_hour_around_its_notification() -> None:
    (window,) = windows_of(notification(created=NOON, received=NOON + timedelta(minutes=3)))
    assert minutes(window.begin, window.end) == ["01 11:45", "01 12:19"]
    (window,) = windows_of(notification(created=NOON, received=NOON - timedelta(minutes=3)))  # its clock is ahead
    assert minutes(window.begin, window.end) == ["01 11:42", "01 12:16"]
    (window,) = windows_of(notification(received=NOON))
    assert minutes(window.begin, window.end) == ["01 11:45", "01 12:16"]


def test_times_far_apart_are_looked_at_one_after_the_other() -> None:
    first, second = windows_of(notification(created=NOON - timedelta(days=2), received=NOON))
    assert minutes(first.begin, first.end) == ["27 11:45", "27 12:16"]
    assert minutes(second.begin, second.end) == ["01 11:45", "01 12:16"]


@pytest.mark.parametrize(("count", "calls"), [(0, 1), (999, 1), (1000, 2), (2500, 3)])
async def test_pages_are_turned_to_the_last(count: int, calls: int) -> None:
    list_page, asked = server(count)
    assert len(await read(list_page)) == count
    assert len(asked) == calls


@pytest.mark.parametrize(("skips", "heeds"), [(0, True), (1000, True), (None, False)])
async def test_a_window_whose_pages_cannot_be_turned_is_split(skips: int | None, heeds: bool) -> None:
    list_page, _ = server(4500, skips=skips, heeds=heeds)
    assert len(await read(list_page)) == 4500


async def test_there_is_an_end_to_looking() -> None:
    asked: list[int] = []

    async def list_page(_: Window, skip: int) -> Sequence[ListedRecord]:
        asked.append(skip)
        return [ListedRecord(key=f"{skip}-{number}", id=None) for number in range(MOST)]

    with pytest.raises(Later, match="after 50 listings"):
        await read(list_page)
    assert len(asked) == 50
