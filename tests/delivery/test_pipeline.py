"""The pipeline of one destination by itself."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy.exc import OperationalError

from gateway.delivery.preparing.prepare import Job
from gateway.templates.render_pool import RenderPool
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES, Parts
from tests.support.pipelines import flow_of, make_pipeline
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_pipeline_that_had_nothing_to_hand_back_does_not_have_its_process_look_for_more(parts: Parts) -> None:
    looked: list[bool] = []
    flow = flow_of(parts, lambda: looked.append(True))
    flow.left_behind("table")
    pipeline = make_pipeline(parts, flow=flow)
    pipeline.breaker.failed(whole=True)

    assert pipeline.take_back() == []
    assert looked == [], "an open breaker has the worker take back before each look: it would never rest"


async def test_what_steps_aside_keeps_the_room_of_others_only_while_the_destination_is_down(parts: Parts) -> None:
    pipeline = make_pipeline(parts)
    pipeline.opened = True
    most = pipeline.underway = pipeline.capacity
    assert pipeline.capacity == 0
    with ExitStack() as aside:
        for _ in range(most):
            aside.enter_context(pipeline.stepping_aside())
        assert pipeline.capacity == most
        pipeline.breaker.limits = replace(pipeline.breaker.limits, probe_after=0.0)
        pipeline.breaker.failed(whole=True)
        assert pipeline.capacity == 0
        pipeline.breaker.succeeded()
        assert pipeline.capacity == most
    assert pipeline.capacity == 0


async def test_suspect_that_is_tried_alone_goes_in_no_batch_with_others(parts: Parts) -> None:
    pipeline = make_pipeline(parts)
    route, spec = parts.active.delivery("route", "table")  # type: ignore[misc]
    jobs = []
    for number in range(4):
        kept = await parts.keep(f"n{number}", record=f"r{number}")
        [due] = await parts.store.claim({"table": 1})
        due.alone = number == 2
        jobs.append(Job(due=due, kept=kept, route=route, spec=spec))
    assert pipeline._set_apart(list(jobs)) == jobs, "each is sent by itself where the destination takes one at a time"
    pipeline._many = True
    assert pipeline._set_apart(list(jobs)) == [jobs[2]]
    assert list(pipeline._ready) == [jobs[0], jobs[1], jobs[3]]
    pipeline.take_back()


async def test_a_probe_that_the_store_could_not_note_leaves_room_for_another(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> NoReturn:
        raise OperationalError("UPDATE", {}, Exception("database or disk is full"))

    pipeline = make_pipeline(parts)
    pipeline.breaker.limits = replace(pipeline.breaker.limits, probe_after=0.0)
    pipeline.breaker.failed(whole=True)
    kept = await parts.keep("n1")
    [due] = await parts.store.claim({"table": 1})
    route, spec = parts.active.delivery("route", "table")  # type: ignore[misc]
    monkeypatch.setattr(parts.store, "begin", full)
    pipeline.breaker.start()
    pipeline.underway += 1
    with pytest.raises(OperationalError):
        await pipeline._run([Job(due=due, kept=kept, route=route, spec=spec)])
    assert pipeline.breaker.is_open
    assert pipeline.breaker.capacity(5) == 1


async def test_a_delivery_that_is_made_ready_elsewhere_is_handed_back_with_its_lease_by_a_stop(
    parts: Parts, tmp_path: Path
) -> None:
    crossed = "{{ range(9000) | select('in', range(9000) | list) | list }}"
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text=crossed)
    parts.active.load(load_routes(tmp_path, text))
    renders = RenderPool()
    pipeline = make_pipeline(parts, renders=renders)
    pipeline.opened = True
    kept = await parts.keep("n1")
    [due] = await parts.store.claim({"table": 1})
    route, spec = parts.active.delivery("route", "table")  # type: ignore[misc]
    job = Job(due=due, kept=kept, route=route, spec=spec)
    pipeline._ledger.hold(due)
    pipeline.underway += 1
    pipeline.put(job)
    for _ in range(500):
        await asyncio.sleep(0.02)
        if pipeline._elsewhere and not pipeline._slots:
            break
    assert (pipeline._slots, pipeline.underway) == (0, 0), "it keeps no slot and no room of others"
    assert pipeline.stop() == [job]
    renders.close()
    await pipeline.finish()
    assert pipeline.underway == 0
    assert pipeline._ledger.leases.valid(due.lane_id, due.token), "whoever leads it on needs it"
