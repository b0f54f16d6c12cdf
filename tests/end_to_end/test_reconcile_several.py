"""Two gateways on one PostgreSQL store: one of them reconciles, and whoever hears of a record later does no work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.end_to_end.conftest import FORM, Make
from tests.end_to_end.several import Several, several_gateways
from tests.end_to_end.test_reconcile import reconciling
from tests.support.postgresql import Server

EACH = 'to = "table"\ntable = "plain"\norder = "none"\ncolumns = { record = "{{ record.key }}" }'


@pytest.fixture
async def several(tmp_path: Path, postgresql: Server) -> AsyncIterator[Several]:
    async with several_gateways(tmp_path, postgresql) as made:
        yield made


async def test_of_two_gateways_one_reconciles_while_creates_come_late_to_both(several: Several, route: Make) -> None:
    at = datetime.now(UTC) - timedelta(hours=5)
    for number in range(120):
        several.doforms.world.put(FORM, f"r{number}", {"score": number}, received=at + timedelta(seconds=number))
    several.write(reconciling(route(EACH)))
    await several.start()
    late = [several.doforms.notify(FORM, "create", submission_key=f"r{number}") for number in range(0, 120, 3)]
    seen = await asyncio.gather(*late)
    done = "SELECT count(*), count(DISTINCT record) FROM plain"
    await several.doforms.until(lambda: several.rows(done) == [(120, 120)], timeout=20)
    await several.doforms.until(lambda: all(one.belief == "completed" for one in seen), timeout=20)
    assert max(len(one.puts) for one in seen) <= 1
    rounds = [line for line in several.logged("reconciled") if line["event"] == "reconciled"]
    assert sum(one.path.endswith("/submissions") for one in several.doforms.requests) == 1
    assert len(rounds) <= 1
    await several.stop()
    assert several.rows(done) == [(120, 120)]
