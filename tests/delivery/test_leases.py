"""Leases: renewed while work runs, and loud only when one was really lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from gateway.leases import Leases
from gateway.store.store import Store
from gateway.store.work import lane_leases, queue
from gateway.store.work.queue import Due
from tests.store.test_queue import delivered
from tests.support.keeping import keep

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def quick(store: Store) -> Store:
    store.lease = 0.3
    return store


async def claimed(store: Store, leases: Leases) -> Due:
    await store.submit(keep())
    [due] = await store.claim({"table": 1})
    leases.hold(due.lane_id, due.token, due.lease_until)
    return due


@contextmanager
def losses() -> Iterator[list[Any]]:
    found: list[Any] = []
    with capture_logs() as logged:
        yield found
    found += [line for line in logged if "a lease was lost" in line["event"]]


async def renewing(leases: Leases, seconds: float) -> None:
    task = asyncio.create_task(leases.keep_renewed())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_lease_that_is_renewed_outlives_its_length(quick: Store) -> None:
    leases = Leases(quick, lane_leases.renew)
    due = await claimed(quick, leases)
    with losses() as lost:
        await renewing(leases, 0.7)
        assert leases.valid(due.lane_id, due.token)
    assert lost == []


async def test_a_lease_that_another_process_took_is_a_loss_that_is_heard(quick: Store) -> None:
    leases = Leases(quick, lane_leases.renew)
    due = await claimed(quick, leases)
    await quick.write(lambda c: lane_leases.void_leases(c))
    await quick.claim({"table": 1})
    with losses() as lost:
        await renewing(leases, 0.25)
    assert [line["id"] for line in lost] == [due.lane_id]
    assert not leases.valid(due.lane_id, due.token)


async def test_a_renewal_that_a_settlement_has_overtaken_is_no_loss(quick: Store) -> None:
    due: Due

    def late(connection: Connection, held: Mapping[int, str], lease: float) -> Mapping[int, float]:
        queue.settle(connection, [delivered(due)], lease=lease)  # the settlement shares the renewal's group
        return lane_leases.renew(connection, held, lease)

    leases = Leases(quick, late)
    due = await claimed(quick, leases)
    leases.ends(due.lane_id, due.token)
    with losses() as lost:
        await renewing(leases, 0.25)
        assert len(leases) == 1
        leases.forget(due.lane_id, due.token)
    assert lost == []
    assert len(leases) == 0


async def test_a_length_that_a_reload_has_shortened_is_kept_from_then_on(store: Store) -> None:
    leases = Leases(store, lane_leases.renew)
    renewing_it = asyncio.create_task(leases.keep_renewed())
    await asyncio.sleep(0.05)
    store.lease = 1.0
    due = await claimed(store, leases)
    with losses() as lost:
        await asyncio.sleep(1.5)
        assert leases.valid(due.lane_id, due.token)
    assert lost == []
    renewing_it.cancel()
    await asyncio.gather(renewing_it, return_exceptions=True)
