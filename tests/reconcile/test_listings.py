"""Comparing what doForms lists with what is kept, against a doForms that does not always answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.doforms.listing import ListedRecord
from gateway.pauses import Cause, Kind
from gateway.reconcile.backfill import Backfill, NotListed
from gateway.store.operator import pauses
from tests.reconcile.conftest import LISTED, inspection, load, put
from tests.support.keeping import WEBSERVICE
from tests.support.parts import Parts

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def compared(backfill: Backfill, parts: Parts) -> list[str]:
    """Return the keys that are not known of a day."""
    end = datetime.now(UTC).replace(microsecond=0)
    pages = backfill.compare(inspection(parts), end - timedelta(days=1), end)
    return [record.key async for page in pages for record in page.unknown]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "headers": {"Retry-After": "0"}},
        {"status": 429, "headers": {"Retry-After": "1"}},
        {"status": 200, "body": b"<html>down</html>"},
        {"name": "reset"},
    ],
)
async def test_a_listing_that_fails_once_is_asked_for_again(
    backfill: Backfill, parts: Parts, fault: dict[str, Any]
) -> None:
    put(parts, "r1", "r2")
    parts.doforms.faults.add(path_contains="/submissions", **fault)
    assert await compared(backfill, parts) == ["r1", "r2"]
    assert len(parts.doforms.requests) == 2


async def test_a_record_that_is_listed_twice_counts_once(backfill: Backfill, parts: Parts) -> None:
    parts.doforms.faults.add(path_contains="/submissions", status=200, body=b'[{"key": "r1"}, {"key": "r1"}]')
    assert await compared(backfill, parts) == ["r1"]


async def test_a_doforms_that_stays_away_or_asks_for_a_long_wait_is_not_waited_for(
    backfill: Backfill, parts: Parts
) -> None:
    parts.doforms.faults.add(path_contains="/submissions", status=503, headers={"Retry-After": "0"}, times=None)
    with pytest.raises(NotListed, match="cannot be listed: doForms answered 503"):
        await compared(backfill, parts)
    assert len(parts.doforms.requests) == 6
    parts.doforms.faults.clear()
    parts.doforms.faults.add(path_contains="/submissions", status=503, headers={"Retry-After": "3600"})
    with pytest.raises(NotListed) as raised:
        await compared(backfill, parts)
    assert raised.value.retry_after == 3600


async def test_a_web_service_paused_while_its_listing_waits_is_not_asked(backfill: Backfill, parts: Parts) -> None:
    await parts.pauses.pause(Kind.WEBSERVICE, WEBSERVICE, "over quota", cause=Cause.QUOTA)
    with pytest.raises(NotListed, match="is paused: over quota") as raised:
        await compared(backfill, parts)
    assert raised.value.told
    assert parts.doforms.requests == []


@pytest.mark.parametrize(("status", "body"), [(401, b""), (400, b"Daily web service quota exceeded.")])
async def test_a_listing_that_is_refused_altogether_pauses_the_web_service(
    backfill: Backfill, parts: Parts, status: int, body: bytes
) -> None:
    parts.doforms.faults.add(path_contains="/submissions", status=status, body=body)
    with pytest.raises(NotListed, match="the web service inspection is paused: doForms") as raised:
        await compared(backfill, parts)
    assert raised.value.told
    assert [pause.name for pause in await parts.store.read(pauses.list_pauses)] == [WEBSERVICE]


async def test_a_listing_that_alone_is_forbidden_pauses_nothing(backfill: Backfill, parts: Parts) -> None:
    parts.doforms.faults.add(path_contains="/submissions", status=403)
    with pytest.raises(
        NotListed, match="inspection may not list what doForms received: doForms answered 403"
    ) as raised:
        await compared(backfill, parts)
    assert not raised.value.told
    assert await parts.store.read(pauses.list_pauses) == []


async def test_records_are_let_in_only_below_half_of_the_backlogs_limit(
    backfill: Backfill, parts: Parts, tmp_path: Path
) -> None:
    await parts.keep("n1", "another")
    load(parts, tmp_path, gateway="backlog_limit = 2")
    with pytest.raises(NotListed, match=r"1 deliveries wait already: .* below half of backlog_limit"):
        await backfill.let_in(inspection(parts), LISTED)
    load(parts, tmp_path, gateway="backlog_limit = 3")
    assert await backfill.let_in(inspection(parts), LISTED) == ["r1"]


async def test_records_are_let_in_only_while_twice_the_least_disk_is_free(
    backfill: Backfill, parts: Parts, tmp_path: Path
) -> None:
    free = await parts.store.free()
    assert free is not None
    load(parts, tmp_path, gateway=f'min_free_disk = "{int(0.75 * free)}B"')
    with pytest.raises(NotListed, match="the disk of the store is nearly full"):
        await backfill.let_in(inspection(parts), LISTED)
    load(parts, tmp_path, gateway=f'min_free_disk = "{int(0.25 * free)}B"')
    assert await backfill.let_in(inspection(parts), LISTED) == ["r1"]


async def test_a_record_that_cannot_be_kept_stands_in_no_others_way(backfill: Backfill, parts: Parts) -> None:
    found = [ListedRecord(key="\0", id=None), *LISTED]
    assert await backfill.let_in(inspection(parts), found) == ["r1"]


async def test_records_that_no_route_takes_are_not_let_in(backfill: Backfill, parts: Parts, tmp_path: Path) -> None:
    load(parts, tmp_path, route="Silent")
    assert backfill.obstacle(inspection(parts)) == "no route takes new records of the web service inspection"
    with pytest.raises(NotListed, match="no route takes new records of the web service inspection any more"):
        await backfill.let_in(inspection(parts), LISTED)
