"""Two processes on one PostgreSQL store need the same record: each fetch is made once, and in order of arrival."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio

from gateway.calls.client import AccountClient
from gateway.calls.gate import Gate
from gateway.models import FetchState
from gateway.records.fetcher import RecordFetcher
from gateway.retry import Deferred
from gateway.store.engine.transaction_time import SECOND
from gateway.store.store import Store
from tests.support.keeping import WEBSERVICE
from tests.support.parts import Parts
from tests.support.postgresql import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def store(postgresql: Server) -> AsyncIterator[Store]:
    opened = Store(postgresql.make_database(), lease=1.0)
    await opened.open()
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def other(parts: Parts, http: httpx.AsyncClient) -> AsyncIterator[RecordFetcher]:
    """The fetcher of another process."""
    url = parts.store.database._writers.url.render_as_string(hide_password=False)
    opened = Store(url, lease=1.0)
    await opened.open()
    calls = AccountClient(http, opened)
    gate = Gate(store=opened, active=parts.active, client=calls, pauses=parts.pauses)
    yield RecordFetcher(store=opened, active=parts.active, gate=gate)
    await calls.aclose()
    await opened.close()


async def test_the_record_of_one_notification_is_fetched_by_one_of_them(parts: Parts, other: RecordFetcher) -> None:
    kept = await parts.keep("n1")
    parts.doforms.faults.add(status=None, delay=0.3)
    found = await asyncio.gather(parts.fetcher.records(kept), other.records(kept))
    assert [one.record.fields["site"] for one in found] == ["Dock", "Dock"]
    assert parts.asked() == ["r1"]


async def test_a_later_notification_waits_for_the_fetch_that_the_other_makes(
    parts: Parts, other: RecordFetcher
) -> None:
    first, second = await parts.keep("n1"), await parts.keep("n2")
    parts.doforms.faults.add(status=None, delay=0.3)
    early = asyncio.create_task(parts.fetcher.records(first))
    await asyncio.sleep(0.15)
    late = asyncio.create_task(other.records(second))
    await asyncio.sleep(0.1)
    parts.doforms.put_record(WEBSERVICE, "r1", {"site": "Pier"})
    assert (await late).record.fields["site"] == "Pier"
    assert early.done()
    assert parts.asked() == ["r1", "id-r1"]


async def test_what_one_puts_off_the_other_does_not_try(parts: Parts, other: RecordFetcher) -> None:
    kept = await parts.keep("n1")
    parts.doforms.faults.add(status=503)
    with pytest.raises(Deferred) as here:
        await parts.fetcher.records(kept)
    with pytest.raises(Deferred) as there:
        await other.records(kept)
    assert there.value.until == here.value.until
    assert parts.asked() == ["r1"]


async def test_a_fetch_that_a_dead_process_held_counts_and_is_made_again_by_its_retry(
    parts: Parts, other: RecordFetcher
) -> None:
    kept = await parts.keep("n1")
    for deaths in range(1, 4):  # beyond the limit of 2: none of them was alone
        await parts.wait_is_over()
        assert await parts.fetcher._turns.take(kept.id)
        async with asyncio.timeout(5):
            with pytest.raises(Deferred, match="the process that fetched it died") as told:
                await other.records(kept)
        row = await parts.row("n1")
        assert (row.fetch_state, row.fetch_attempts, row.fetch_holder) == (FetchState.DUE, deaths, None)
        assert told.value.until == row.fetch_due_at > parts.store.now() + 5 * SECOND
    assert parts.asked() == []
    await parts.wait_is_over()
    await other.records(kept)
    assert (await parts.row("n1")).fetch_state == FetchState.PINNED


async def test_calls_to_an_account_keep_its_rate_over_both(parts: Parts, other: RecordFetcher) -> None:
    _limit(parts, 240)
    kept = [await parts.keep(f"n{number}", f"r{number}") for number in range(10)]
    for number in range(10):
        parts.doforms.put_record(WEBSERVICE, f"r{number}", {"site": "Dock"})
    started = time.monotonic()
    await asyncio.gather(*((parts.fetcher, other)[number % 2].records(one) for number, one in enumerate(kept)))
    assert time.monotonic() - started > 1.3  # four at once, then four a second
    assert len(parts.asked()) == 10


async def test_too_many_requests_hold_the_other_back_too(parts: Parts, other: RecordFetcher) -> None:
    first, second = await parts.keep("n1"), await parts.keep("n2", "r2")
    parts.doforms.put_record(WEBSERVICE, "r2", {"site": "Dock"})
    parts.doforms.faults.add(status=429, headers={"Retry-After": "2"})
    started = time.monotonic()
    with pytest.raises(Deferred):
        await parts.fetcher.records(first)
    await other.records(second)
    assert time.monotonic() - started > 1.8


def _limit(parts: Parts, per_minute: int) -> None:
    accounts = {
        name: replace(one, requests_per_minute=per_minute) for name, one in parts.active.routes.accounts.items()
    }
    parts.active.load(replace(parts.active.routes, accounts=accounts))
