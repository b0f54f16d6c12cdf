"""Scenarios: each can be played, keeps its pace, and makes the same records of the same seed."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections import Counter
from dataclasses import replace
from random import Random

import httpx
import pytest

from gateway.doforms.simulator import FORMS, SCENARIOS, Faults, Player, Scenario, Simulator
from gateway.doforms.simulator.conditions import Conditions
from tests.doforms.simulator.conftest import COMPLETED, FORM, Target

pytestmark = pytest.mark.asyncio(loop_scope="module")


def hurried(scenario: Scenario) -> Scenario:
    """Return the scenario without its pauses."""

    def life(chance: Random) -> list:
        return [step._replace(after=0.0) for step in scenario.life(chance)]

    return replace(scenario, life=life, every=0.0, conditions={}, faults=())


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda one: one.name)
async def test_a_scenario_can_be_played(doforms: Simulator, target: Target, scenario: Scenario) -> None:
    target.script = [COMPLETED]
    conditions, faults = Conditions(), Faults()
    conditions.change(**scenario.conditions)
    assert [faults.add(**fault) for fault in scenario.faults] == list(faults.ordered)
    await Player(doforms, hurried(scenario), records=3).play()
    assert {seen.belief for seen in doforms.notifications.values()} == {"completed"}
    assert {stored.webservice for stored in doforms.world.records.values()} <= set(doforms.world.webservices)


async def test_conditions_and_faults_come_with_the_scenario(doforms: Simulator) -> None:
    await Player(doforms, SCENARIOS["details-fail"], records=1).play()
    assert [fault.name for fault in doforms.faults.ordered] == ["details-fail"]
    await Player(doforms, SCENARIOS["no-keys"], records=1).play()
    assert doforms.conditions.unreadable is None


async def test_the_same_seed_makes_the_same_records_under_new_notification_keys(
    doforms: Simulator, target: Target
) -> None:
    target.script = [COMPLETED]
    records, keys = [], []
    for seed in (4, 4, 5):
        doforms.world.records.clear()
        await Player(doforms, hurried(SCENARIOS["ordinary-day"]), seed=seed, records=8).play()
        records.append({key: stored.document for key, stored in doforms.world.records.items()})
        keys.append(set(doforms.notifications))
    assert records[0] == records[1]
    assert records[0].keys().isdisjoint(records[2])
    assert len(keys[2]) >= 24


async def test_a_web_service_gets_records_of_its_form(doforms: Simulator, target: Target) -> None:
    target.script = [COMPLETED]
    doforms.world.webservices.clear()
    for number, form in enumerate(("Time sheet", "Site inspection", "No form of the library")):
        doforms.add_webservice(f"w{number}", "x", form)
    await Player(doforms, hurried(SCENARIOS["ordinary-day"]), records=3).play()
    first = {stored.webservice: stored.make()[0]["name"] for stored in doforms.world.records.values()}
    assert first == {"w0": "person", "w1": "site", "w2": "site"}


async def test_a_dispatch_ends_in_a_submission_that_names_both(doforms: Simulator, target: Target) -> None:
    await Player(doforms, hurried(SCENARIOS["dispatches"]), records=1).play()
    bodies = [json.loads(body) for _, _, body in target.got]
    assert Counter(one["event"] for one in bodies) == {"status": 8, "create": 1}
    assert bodies[-1]["dispatchKey"] == bodies[0]["dispatchKey"]
    assert "submissionKey" in bodies[-1]
    assert "submissionKey" not in bodies[0]


async def test_the_pace_does_not_wait_for_answers(doforms: Simulator, target: Target) -> None:
    target.script = [None]
    loop = asyncio.get_running_loop()
    started = loop.time()
    await Player(doforms, SCENARIOS["plain"], records=5, every=0.05).play()
    assert 0.2 <= loop.time() - started < 1.5  # the last one is waited for: 0.3 s


async def test_thousands_of_records_take_little_memory_and_are_found_at_once(
    doforms: Simulator, http: httpx.AsyncClient
) -> None:
    form = FORMS["Site inspection"]
    tracemalloc.start()
    try:
        for number in range(10_000):
            doforms.world.keep(FORM, f"k{number}", lambda number=number: form.make(1, number).fields)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 15_000_000
    loop = asyncio.get_running_loop()
    started = loop.time()
    for number in range(0, 10_000, 10):
        assert doforms.world.find(f"id-k{number}", "submission").key == f"k{number}"
    assert loop.time() - started < 0.5
    listed = [(await http.get("submissions", params={"skip": skip, "limit": 1000})).json() for skip in (0, 9_000)]
    assert [len(one) for one in listed] == [1000, 1000]


async def test_the_index_of_ids_follows_what_happens_to_records(doforms: Simulator) -> None:
    world = doforms.world
    world.put(FORM, "r1", {}, id="one")
    world.put(FORM, "r1", {}, id="two")
    assert world.find("one", "submission") is None
    assert world.find("two", "submission") is not None
    world.remove("r1")
    assert world.find("two", "submission") is None
    world.put(FORM, "r2", {}, id="two")
    assert world.find("two", "submission").key == "r2"
    assert world.find("two", "dispatch") is None
