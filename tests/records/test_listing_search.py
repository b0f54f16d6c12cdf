"""In which listings a record is looked for, and how far."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.calls.account_limits import Priority
from gateway.doforms.failures import Later
from gateway.records.listing_search import ListingSearch, windows_of
from tests.support.keeping import WEBSERVICE, notification
from tests.support.parts import Parts

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOON = datetime(2026, 3, 1, 12, 0, 20, tzinfo=UTC)


def minutes(*of: datetime) -> list[str]:
    return [f"{one:%d %H:%M}" for one in of]


async def test_a_record_is_looked_for_a_quarter_of_an_hour_around_its_notification() -> None:
    (window,) = windows_of(notification(created=NOON, received=NOON + timedelta(minutes=3)))
    assert minutes(window.begin, window.end) == ["01 11:45", "01 12:19"]
    (window,) = windows_of(notification(created=NOON, received=NOON - timedelta(minutes=3)))  # its clock is ahead
    assert minutes(window.begin, window.end) == ["01 11:42", "01 12:16"]
    (window,) = windows_of(notification(received=NOON))
    assert minutes(window.begin, window.end) == ["01 11:45", "01 12:16"]


async def test_times_far_apart_are_looked_at_one_after_the_other() -> None:
    first, second = windows_of(notification(created=NOON - timedelta(days=2), received=NOON))
    assert minutes(first.begin, first.end) == ["27 11:45", "27 12:16"]
    assert minutes(second.begin, second.end) == ["01 11:45", "01 12:16"]


async def look(parts: Parts, key: str) -> dict[str, str | None]:
    webservice = parts.active.webservice(WEBSERVICE)
    assert webservice is not None
    client = parts.calls.of(parts.active.account(webservice), webservice, Priority.FETCH)
    return dict(await ListingSearch().look(client, notification(record=key, received=NOON), key))


def put(parts: Parts, key: str, received: datetime) -> None:
    parts.doforms.world.put(WEBSERVICE, key, {}, received=received)


async def test_what_is_listed_is_found_with_its_id_and_the_rest_is_not_there(parts: Parts) -> None:
    put(parts, "r1", NOON)
    put(parts, "early", NOON - timedelta(minutes=16))
    assert await look(parts, "r1") == {"r1": "id-r1"}
    assert await look(parts, "early") == {}


async def test_looking_ends_as_soon_as_the_record_is_found(parts: Parts) -> None:
    for number in range(1200):
        put(parts, f"x{number}", NOON + timedelta(milliseconds=number))
    parts.doforms.requests.clear()
    assert await look(parts, "x7") == {"x7": "id-x7"}
    assert parts.asked() == ["submissions"]


async def test_a_full_listing_is_looked_into_further(parts: Parts) -> None:
    for number in range(1200):
        put(parts, f"x{number}", NOON + timedelta(milliseconds=number))
    assert await look(parts, "x1199") == {"x1199": "id-x1199"}
    assert 1 < len(parts.asked()) < 30


async def test_there_is_an_end_to_looking(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.records.listing_search._MOST_CALLS", 5)
    for number in range(1200):
        put(parts, f"x{number}", NOON)
    with pytest.raises(Later, match="after 5 listings"):
        await look(parts, "lost")
