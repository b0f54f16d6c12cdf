"""A process' part of an account's slots: asked for when wanted, given back when idle or when others wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from gateway.calls.account_limits import AccountLimits, Priority
from gateway.calls.slots import DatabaseSlotStore, SharedSlots
from gateway.store.store import Store
from gateway.store.work.call_slots import Share
from tests.support.parts import eventually
from tests.support.postgresql import Server

pytestmark = pytest.mark.asyncio(loop_scope="function")


class Process:
    """One of several that call an account of four slots."""

    def __init__(self, store: Store) -> None:
        self.limits = AccountLimits(requests_per_minute=600_000, max_in_flight=4)
        self.bank = DatabaseSlotStore(store, "acme", 4)
        self.slots = SharedSlots(self.bank, clock=time.monotonic, on_more=self.limits.more)
        self.limits.slots = self.slots
        self.calls = 0
        self.under_way = 0

    async def call(self, seconds: float = 0.02) -> None:
        async with self.limits.slot(Priority.FETCH):
            self.under_way += 1
            await asyncio.sleep(seconds)
            self.under_way -= 1
            self.calls += 1

    async def keep_calling(self, at_once: int = 8) -> None:
        async def one() -> None:
            while True:
                await self.call()

        await asyncio.gather(*(one() for _ in range(at_once)))


@pytest.fixture
async def stores(postgresql: Server) -> AsyncIterator[list[Store]]:
    url = postgresql.make_database()
    async with AsyncExitStack() as stack:
        opened = [Store(url, lease=30.0) for _ in range(2)]
        for store in opened:
            await store.open()
            stack.push_async_callback(store.close)
        yield opened


async def test_a_call_gets_its_slot_and_many_calls_cost_few_looks_at_the_store(stores: list[Store]) -> None:
    one = Process(stores[0])
    looks = 0
    balance = one.bank.balance

    async def counted(keeps: int, demand: int) -> object:
        nonlocal looks
        looks += 1
        return await balance(keeps, demand)

    one.bank.balance = counted  # type: ignore[method-assign,assignment]
    async with asyncio.timeout(5):
        await asyncio.gather(*(one.call(0.005) for _ in range(200)))
    assert one.calls == 200
    assert looks < 12
    await one.slots.close()


async def test_two_busy_ones_share_and_never_have_more_than_four_under_way(stores: list[Store]) -> None:
    processes = [Process(store) for store in stores]
    tasks = [asyncio.create_task(processes[0].keep_calling())]
    await asyncio.sleep(0.3)
    tasks.append(asyncio.create_task(processes[1].keep_calling()))
    most = 0
    for _ in range(400):
        await asyncio.sleep(0.005)
        most = max(most, sum(process.under_way for process in processes))
    before = [process.calls for process in processes]
    await asyncio.sleep(0.5)
    rates = [process.calls - start for process, start in zip(processes, before, strict=True)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 4
    assert min(rates) > 0.6 * max(rates)
    for process in processes:
        await process.slots.close()


async def test_one_that_has_become_idle_leaves_all_to_the_other(stores: list[Store]) -> None:
    first, second = (Process(store) for store in stores)
    await asyncio.gather(*(first.call() for _ in range(8)))
    async with asyncio.timeout(2):
        await asyncio.gather(*(second.call() for _ in range(8)))
    most = 0
    task = asyncio.create_task(second.keep_calling())
    async with asyncio.timeout(3):
        while most < 4:
            await asyncio.sleep(0.005)
            most = max(most, second.under_way)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await second.slots.close()
    await first.slots.close()


async def test_what_a_process_has_goes_back_when_it_ends(stores: list[Store]) -> None:
    first, second = (Process(store) for store in stores)
    await first.call()
    await first.slots.close()
    started = time.monotonic()
    await asyncio.gather(*(second.call() for _ in range(4)))
    assert time.monotonic() - started < 0.5
    assert first.slots.free(0, 1) == 0
    await second.slots.close()


async def test_a_store_that_is_away_stops_no_call_until_the_lease_has_ended() -> None:
    class SlotStore:
        async def balance(self, keeps: int, demand: int) -> object:
            raise RuntimeError("the store is away")

        async def give_back(self) -> None:
            return

    slots = SharedSlots(SlotStore(), clock=time.monotonic, on_more=lambda: None)  # type: ignore[arg-type]
    assert slots.free(0, 3) == 0
    await asyncio.sleep(0.01)
    assert slots.free(0, 3) == 0
    await slots.close()


async def test_an_idle_process_gives_its_slots_back_and_asks_for_them_with_the_next_call() -> None:
    told: list[str] = []
    seconds = 0.0

    class SlotStore:
        async def balance(self, keeps: int, demand: int) -> Share:
            told.append(f"{demand} wanted")
            return Share(slots=4, fair=4, until=1000.0)

        async def give_back(self) -> None:
            told.append("given back")

    async def until(what: str) -> None:
        async def is_told() -> bool:
            return told[-1:] == [what]

        await eventually(is_told)

    slots = SharedSlots(SlotStore(), clock=lambda: seconds, on_more=lambda: None)
    slots.free(0, 1)
    await until("1 wanted")
    assert slots.free(1, 0) == 3
    slots.free(0, 0)
    seconds = 2.0
    await until("given back")
    assert slots.free(0, 1) == 0
    await until("1 wanted")
    assert slots.free(0, 1) == 4
    await slots.close()
    assert told[-1] == "given back"
