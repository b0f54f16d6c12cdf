"""The hostile run notices what it is there to notice, and each attack can be made."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.doforms.simulator import Answer
from tests.crash.books import audit
from tests.crash.evidence import Evidence
from tests.crash.stores import backend
from tests.hostile.figures import Figures
from tests.hostile.report import LEAK, cells, faults_of, summary
from tests.hostile.run import Result, Row, run
from tests.hostile.strangers import ATTACKS, Target
from tests.hostile.traffic import Answered, between
from tests.support.tcp import raw_server

SMALL = Figures(100 << 20, 30)
QUICK = Answered(10.0, Answer(200, b"", 0.01))
ROW = Row(attack="a flood", good=[QUICK], late=0, before=SMALL, most=SMALL, after=SMALL)
CLEAN = Result(rows=[ROW, ROW], found=audit(Evidence()), notifications=1, deliveries=1, seconds=60.0)


def test_clean_run_has_no_faults() -> None:
    assert faults_of(CLEAN) == []
    assert "lost 0, doubled 0, out of order 0" in summary(CLEAN, "sqlite")


def test_late_answer_is_a_fault() -> None:
    assert faults_of(replace(CLEAN, rows=[ROW, replace(ROW, late=2)])) == ["a flood: 2 good answers took over 3 s"]


def test_memory_that_grows_is_a_fault() -> None:
    grown = replace(ROW, after=replace(SMALL, memory=SMALL.memory + LEAK + 1))
    assert faults_of(replace(CLEAN, rows=[ROW, grown])) == ["memory grew from 100 to 260 MB"]


def test_descriptors_that_are_never_closed_are_a_fault() -> None:
    grown = replace(ROW, after=replace(SMALL, descriptors=100))
    assert faults_of(replace(CLEAN, rows=[ROW, grown])) == ["descriptors grew from 30 to 100"]


def test_broken_invariant_is_a_fault() -> None:
    found = {**CLEAN.found, "nothing happened twice": ["a row came twice"]}
    assert faults_of(replace(CLEAN, found=found)) == ["nothing happened twice: a row came twice"]


def test_row_tells_refusals_and_the_slowest_answer() -> None:
    refused = Answered(11.0, Answer(503, b"", 1.5))
    assert cells(replace(ROW, good=[QUICK, refused]))[:5] == ("a flood", "1", "0", "1.50 s", "1")


def test_answer_belongs_to_the_time_in_which_it_was_asked_for() -> None:
    late = Answered(20.0, Answer(None, b"", 3.0))
    assert between([QUICK, late], 16.0, 18.0) == [late]
    assert late.is_late
    assert not QUICK.is_late


@pytest.mark.parametrize("name", sorted(ATTACKS))
async def test_attack_reaches_the_port_and_outlives_what_is_done_to_its_connections(name: str) -> None:
    async with raw_server(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as server:
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await ATTACKS[name](Target(server.port, random.Random(1)))
        assert time.monotonic() - begun >= 1.0


def test_good_traffic_is_answered_while_gateways_are_attacked(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    chosen = ["wrong secrets at full speed", "answers of a bad service", "reloads"]
    with backend("sqlite", tmp_path) as store:
        result = asyncio.run(run(1, store, tmp_path / "run", seconds=20.0, processes=1, only=chosen))
    assert faults_of(result) == []
    assert [row.attack for row in result.rows][1:4] == chosen
    assert sum(len(row.good) for row in result.rows) > 100
