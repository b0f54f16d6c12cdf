"""Two gateways on one PostgreSQL store: one of them reconciles, and whoever hears of a record later does no work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import FORM, Make
from tests.end_to_end.several import LEASE, Several, several_gateways
from tests.end_to_end.test_reconcile import lose, reconciling
from tests.support.postgresql import Server

EACH = 'to = "table"\ntable = "plain"\norder = "none"\ncolumns = { record = "{{ record.key }}" }'
DONE = "SELECT count(*), count(DISTINCT record) FROM plain"


@pytest.fixture
async def several(tmp_path: Path, postgresql: Server) -> AsyncIterator[Several]:
    async with several_gateways(tmp_path, postgresql) as made:
        yield made


async def test_of_two_gateways_one_reconciles_while_creates_come_late_to_both(several: Several, route: Make) -> None:
    lose(several, 120)
    several.write(reconciling(route(EACH)))
    await several.start()
    late = [several.doforms.notify(FORM, "create", submission_key=f"r{number:05}") for number in range(0, 120, 3)]
    seen = await asyncio.gather(*late)
    await several.doforms.until(lambda: several.rows(DONE) == [(120, 120)], timeout=20)
    await several.doforms.until(lambda: all(one.belief == "completed" for one in seen), timeout=20)
    assert max(len(one.puts) for one in seen) <= 1
    rounds = [line for line in several.logged("reconciled") if line["event"] == "reconciled"]
    assert sum(one.path.endswith("/submissions") for one in several.doforms.requests) == 1
    assert len(rounds) <= 1
    await several.stop()
    assert several.rows(DONE) == [(120, 120)]


async def test_a_gateway_killed_amid_a_round_is_followed_by_another_within_its_lease(
    several: Several, route: Make
) -> None:
    lose(several, 10)
    several.write(reconciling(route(EACH)))
    several.doforms.faults.add(path_contains="/submissions", method="GET", hang=True)
    first, second = several.gateways
    await asyncio.to_thread(first.start)
    await several.doforms.until(lambda: bool(several.doforms.requests))
    await asyncio.to_thread(second.start)
    await asyncio.sleep(LEASE)
    assert len(several.doforms.requests) == 1  # the lease is renewed while the listing is waited for
    first.kill()
    await several.doforms.until(lambda: several.rows(DONE) == [(10, 10)], timeout=LEASE + 5)


async def test_what_is_live_overtakes_what_was_backfilled_in_all_processes(several: Several, route: Make) -> None:
    lose(several, 500)
    several.write("[accounts.acme]\nrequests_per_minute = 600\n" + reconciling(route(EACH.replace(".key", ".id"))))
    await several.start()
    await several.doforms.until(lambda: several.stored("SELECT count(*) FROM backfilled") == [(500,)], timeout=20)
    for number in range(4):
        seen = await several.doforms.create(FORM, {"score": 1}, key=f"live{number}")
        await several.doforms.until(lambda seen=seen: seen.belief == "completed", timeout=4)
    assert several.rows(DONE)[0][0] < 250
    before = several.rows(DONE)[0][0]
    await several.doforms.until(lambda: several.rows(DONE)[0][0] >= before + 30, timeout=10)
