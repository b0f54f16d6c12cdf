"""The conservation test on a few seeds, and with deliberate bugs, which it must notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.bugs import BUGS
from tests.crash.plan import Kind, plan
from tests.crash.seed import run_seed
from tests.crash.stores import Backend, backend

SEEDS = (4, 20)
"""With kills, stops longer than a lease, full disks and a reload; beside them destinations and the API fail."""

SHARED_SEED = 22
"""With a restart of the database, a stop longer than a lease, a shutdown and a reload, each of another process."""


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with backend("sqlite", tmp_path_factory.mktemp("sqlite")) as made:
        yield made


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with backend("postgresql", tmp_path_factory.mktemp("postgresql")) as made:
        yield made


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_lost_doubled_or_shuffled_whatever_fails(seed: int, sqlite: Backend, tmp_path: Path) -> None:
    verdict = await run_seed(seed, sqlite, tmp_path / "seed")
    assert {name: found for name, found in verdict.found.items() if found} == {}
    assert verdict.notifications > 20


async def test_several_gateways_on_one_store_lose_double_and_shuffle_nothing(
    postgresql: Backend, tmp_path: Path
) -> None:
    verdict = await run_seed(SHARED_SEED, postgresql, tmp_path / "seed", processes=3)
    assert {name: found for name, found in verdict.found.items() if found} == {}
    assert verdict.notifications > 20


@pytest.mark.parametrize("name", [name for name, bug in BUGS.items() if bug.notices])
async def test_a_guard_that_is_switched_off_is_noticed(name: str, sqlite: Backend, tmp_path: Path) -> None:
    bug = BUGS[name]
    for seed in range(6):  # what has to meet for it need not meet in every seed
        verdict = await run_seed(seed, sqlite, tmp_path / str(seed), only=bug.only, bug=name)
        if verdict.found[str(bug.notices)]:
            return
    pytest.fail(f"six seeds with the bug {name!r}, and the book {bug.notices!r} has noticed nothing")


async def test_leases_that_are_never_renewed_do_no_harm_by_themselves(sqlite: Backend, tmp_path: Path) -> None:
    verdict = await run_seed(1, sqlite, tmp_path / "seed", only=BUGS["no renewal"].only, bug="no renewal")
    assert {name: found for name, found in verdict.found.items() if found} == {}


def test_a_seed_has_always_the_same_plan() -> None:
    assert plan(3, frozenset(Kind), processes=3) == plan(3, list(Kind), processes=3)
    assert plan(3, frozenset(Kind)) != plan(4, frozenset(Kind))


def test_a_plan_keeps_to_the_faults_that_are_asked_for() -> None:
    assert {fault.kind for seed in range(20) for fault in plan(seed, {Kind.KILL, Kind.STOP})} == {Kind.KILL, Kind.STOP}
    assert plan(3, ()) == []
