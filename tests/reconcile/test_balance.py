"""The books: what they count, and when they are complete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.reconcile.backfill import Backfill
from gateway.reconcile.completeness import Completeness, balance
from tests.reconcile.conftest import inspection, put, told_of
from tests.support.keeping import keep, notification
from tests.support.parts import Parts

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_books_that_go_on_after_what_is_closed_are_never_complete(backfill: Backfill, parts: Parts) -> None:
    end = datetime.now(UTC).replace(microsecond=0)

    async def made(closed: datetime) -> Completeness:
        return await balance(backfill, parts.store, inspection(parts), end - timedelta(days=1), end, closed=closed)

    assert (await made(end)).verdict.startswith("complete for new records up to ")
    found = await made(end - timedelta(minutes=5))
    assert not found.complete
    assert "(`grace`) may not be here yet" in found.verdict


async def test_the_books_count_the_records_of_all_windows_by_destination_and_state(
    backfill: Backfill, parts: Parts
) -> None:
    put(parts, "r1", "r2", "r3", "r4")
    for key in ("r1", "r2"):
        await parts.keep(f"n-{key}", key)
    end = datetime.now(UTC).replace(microsecond=0)
    found = await balance(backfill, parts.store, inspection(parts), end - timedelta(days=1), end, closed=end)
    assert (found.listed, found.kept, found.missing, found.missing_keys) == (4, 2, 2, ["r3", "r4"])
    assert found.destinations == {"table": {"pending": 2}}
    assert not found.complete
    assert "2 of 4 records that doForms lists are missing here; 2 pending" in found.verdict


async def test_the_books_name_the_first_hundred_missing_records_of_all_windows(
    backfill: Backfill, parts: Parts
) -> None:
    for number in range(1200):
        put(parts, f"r{number}", ago=timedelta(minutes=1300 - number))
    end = datetime.now(UTC).replace(microsecond=0)
    found = await balance(backfill, parts.store, inspection(parts), end - timedelta(days=1), end, closed=end)
    assert (found.listed, found.missing) == (1200, 1200)
    assert found.missing_keys == [f"r{number}" for number in range(100)]


async def test_books_that_cannot_be_made_to_their_end_say_why(backfill: Backfill, parts: Parts) -> None:
    parts.doforms.faults.add(path_contains="/submissions", status=403)
    end = datetime.now(UTC).replace(microsecond=0)
    found = await balance(backfill, parts.store, inspection(parts), end - timedelta(days=1), end, closed=end)
    assert not found.complete
    assert "may not list what doForms received" in str(found.problem)
    assert found.verdict == f"not complete: {found.problem}"


async def test_books_are_not_complete_where_doforms_lacks_what_it_told_of(backfill: Backfill, parts: Parts) -> None:
    await told_of(parts, "r1")
    end = datetime.now(UTC).replace(microsecond=0)
    found = await balance(backfill, parts.store, inspection(parts), end - timedelta(days=1), end, closed=end)
    assert (found.complete, len(found.doubts)) == (False, 1)
    assert "doForms does not list all records that it told of" in found.verdict


async def test_books_are_not_complete_while_no_route_took_a_record(backfill: Backfill, parts: Parts) -> None:
    put(parts, "r1")
    await parts.store.submit(keep(notification(), matched=False, to=()))
    end = datetime.now(UTC).replace(microsecond=0)
    found = await balance(backfill, parts.store, inspection(parts), end - timedelta(days=1), end, closed=end)
    assert (found.listed, found.kept, found.unmatched, found.complete) == (1, 1, 1, False)
    assert "1 were taken by no route" in found.verdict
