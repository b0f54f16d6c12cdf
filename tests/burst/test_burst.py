"""Small bursts: what `make burst` does with thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.burst.run import Plan, burst


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_burst_stays_within_the_limits_of_its_account_and_all_of_it_arrives_in_order(
    tmp_path: Path, processes: int
) -> None:
    plan = Plan(records=300, again=30, processes=processes)
    came = await burst(plan, tmp_path)
    assert came.answers == {"200": plan.measured}
    assert (came.missing, came.twice, came.out_of_order, came.not_believed) == (0, 0, 0, 0)
    assert came.refused <= 0.02 * came.calls
