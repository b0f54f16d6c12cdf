"""The pipeline of one destination by itself."""

from __future__ import annotations

import pytest

from gateway.delivery.leases import Leases
from gateway.delivery.pipeline import Pipeline
from gateway.delivery.pressure import Pressure
from gateway.log import Mask
from gateway.store import lane_leases
from tests.delivery.conftest import Parts

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_pipeline_that_had_nothing_to_hand_back_does_not_have_its_process_look_for_more(parts: Parts) -> None:
    looked: list[str] = []
    pipeline = Pipeline(
        parts.current.routes.destinations["table"],
        store=parts.store,
        leases=Leases(parts.store, lane_leases.renew),
        pressure=Pressure(),
        current=parts.current,
        mask=Mask(),
        on_settled=lambda *_: None,
        on_delivered=lambda *_: None,
        on_misconfigured=lambda *_: None,
        on_room=looked.append,
    )
    pipeline.breaker.failed(whole=True)

    assert pipeline.take_back() == []
    assert looked == [], "an open breaker has the worker take back before each look: it would never rest"
