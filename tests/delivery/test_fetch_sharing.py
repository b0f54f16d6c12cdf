"""Two processes on one PostgreSQL store need the same record: each fetch is made once, and in order of arrival."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.delivery.fetch import FetchDesk, PutOff
from gateway.models import FetchState
from gateway.store.store import Store
from tests.delivery.conftest import Parts
from tests.support.postgresql import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def store(postgresql: Server) -> AsyncIterator[Store]:
    opened = Store(postgresql.make_database(), lease=1.0)
    await opened.open()
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def other(parts: Parts) -> AsyncIterator[FetchDesk]:
    """The desk of another process."""
    url = parts.store.database._writers.url.render_as_string(hide_password=False)
    opened = Store(url, lease=1.0)
    await opened.open()
    yield FetchDesk(store=opened, current=parts.current, calls=parts.calls, pauses=parts.pauses)
    await opened.close()


async def test_the_record_of_one_notification_is_fetched_by_one_of_them(parts: Parts, other: FetchDesk) -> None:
    kept = await parts.keep("n1")
    parts.doforms.faults.add(status=None, delay=0.3)
    found = await asyncio.gather(parts.desk.records(kept), other.records(kept))
    assert [one.record.fields["site"] for one in found] == ["Dock", "Dock"]
    assert parts.asked() == ["r1"]


async def test_a_later_notification_waits_for_the_fetch_that_the_other_makes(parts: Parts, other: FetchDesk) -> None:
    first, second = await parts.keep("n1"), await parts.keep("n2")
    parts.doforms.faults.add(status=None, delay=0.3)
    early = asyncio.create_task(parts.desk.records(first))
    await asyncio.sleep(0.15)
    late = asyncio.create_task(other.records(second))
    await asyncio.sleep(0.1)
    parts.doforms.put_record("acme$$1$$Published$$2", "r1", {"site": "Pier"})
    assert (await late).record.fields["site"] == "Pier"
    assert early.done()
    assert parts.asked() == ["r1", "r1"]


async def test_what_one_puts_off_the_other_does_not_try(parts: Parts, other: FetchDesk) -> None:
    kept = await parts.keep("n1")
    parts.doforms.faults.add(status=503)
    with pytest.raises(PutOff) as here:
        await parts.desk.records(kept)
    with pytest.raises(PutOff) as there:
        await other.records(kept)
    assert there.value.until == here.value.until
    assert parts.asked() == ["r1"]


async def test_a_fetch_that_a_dead_process_held_is_made_after_its_lease(parts: Parts, other: FetchDesk) -> None:
    kept = await parts.keep("n1")
    assert await parts.desk._turns.take(kept.id)
    async with asyncio.timeout(3):
        await other.records(kept)
    assert (await parts.row("n1")).fetch_state == FetchState.PINNED
