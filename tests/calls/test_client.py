"""Calls within the limits of their account, which a reload can change while calls are under way."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.models import RecordKind
from tests.support.keeping import WEBSERVICE
from tests.support.parts import Parts, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_calls_that_are_under_way_count_after_a_reload_too(parts: Parts) -> None:
    webservice = parts.active.webservice(WEBSERVICE)
    assert webservice is not None
    account = parts.active.account(webservice)
    parts.doforms.faults.add(status=None, delay=0.3, times=None)

    async def fetch(in_flight: int) -> None:
        limited = replace(account, max_in_flight=in_flight)
        await parts.calls.fetch(limited, webservice, RecordKind.SUBMISSION, "r1", take=whole)

    calls = [asyncio.create_task(fetch(2)) for _ in range(2)]
    await asyncio.sleep(0.1)
    calls += [asyncio.create_task(fetch(3)) for _ in range(2)]
    await asyncio.sleep(0.1)
    assert sum(limits._in_flight for _, limits in parts.calls._limits.values()) == 3
    await asyncio.gather(*calls)
    assert len(parts.asked()) == 4
