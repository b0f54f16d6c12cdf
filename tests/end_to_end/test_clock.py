"""The machine's clock leaps under a real gateway, or was wrong at its start: nothing waits longer, nothing is lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.end_to_end.conftest import FORM, Make, World
from tests.support.faked_clock import FakedClock, faked_clock
from tests.support.service import Service

SEND = 'to = "mended"\npath = "records"\njson = { site = "{{ record.fields.site }}" }'
RETRY = 'retry = { first = "2s", factor = 1, max = "2s", attempts = 1000 }\nbreaker = { failures = 1000 }'
DELAYED = 'mode = "delayed"'
ALARMS = "SELECT text FROM alarms WHERE kind = 'clock' AND cleared_at IS NULL"
LEAPT_WITHIN = 15.0


@pytest.fixture
def leaping(world: World) -> FakedClock:
    return faked_clock(world.folder)


async def tried_again(world: World, service: Service, within: float = LEAPT_WITHIN) -> None:
    """Wait until the service has been asked twice more: the first can have been under way."""
    asked, began = len(service.asked), time.monotonic()
    await world.doforms.until(lambda: len(service.asked) >= asked + 2, timeout=within + 10)
    assert time.monotonic() - began < within


@pytest.mark.parametrize("offset", ["-1h", "-30d", "-200s"])
async def test_clock_that_goes_back_holds_no_retry_up_and_raises_an_alarm(
    world: World, route: Make, service: Service, leaping: FakedClock, offset: str
) -> None:
    service.status = 503
    with world.running(service.destination(RETRY) + route(SEND, head=DELAYED), environ=leaping.environ):
        await world.doforms.create(FORM, {"site": "Dock 4"})
        await world.doforms.until(lambda: len(service.asked) >= 1)
        leaping.is_off_by(offset)
        await tried_again(world, service)
        await world.doforms.until(lambda: bool(world.stored(ALARMS)))
        assert "the store's clock went back by" in world.stored(ALARMS)[0][0]
        leaping.is_off_by("+0")
        await tried_again(world, service)
        await world.doforms.until(lambda: "went forward by" in world.stored(ALARMS)[0][0])
        service.status = 201
        await world.doforms.until(lambda: bool(service.taken), timeout=20)


@pytest.mark.parametrize("offset", ["+1h", "+30d"])
async def test_clock_that_was_ahead_before_a_start_holds_no_retry_up(
    world: World, route: Make, service: Service, leaping: FakedClock, offset: str
) -> None:
    service.status = 503
    leaping.is_off_by(offset)
    world.write(service.destination(RETRY) + route(SEND, head=DELAYED), environ=leaping.environ)
    assert world.gateway is not None
    world.gateway.start()
    world.doforms.target = world.gateway.url
    await world.doforms.create(FORM, {"site": "Dock 4"})
    await world.doforms.until(lambda: len(service.asked) >= 1)
    world.gateway.kill()
    leaping.is_off_by("+0")
    world.gateway.start()
    await tried_again(world, service)
    assert len(world.stored(ALARMS)) == 1
    assert await asyncio.to_thread(world.gateway.stop) == 0


async def test_start_with_a_clock_far_ahead_deletes_nothing_and_says_so(
    world: World, route: Make, service: Service, leaping: FakedClock
) -> None:
    service.status = 400
    routes = service.destination() + route(SEND, head=DELAYED)
    with world.running(routes, environ=leaping.environ):
        await world.doforms.create(FORM, {"site": "Dock 4"})
        await world.doforms.until(lambda: world.stored("SELECT state FROM deliveries") == [("dead",)])
    leaping.is_off_by("+200d")
    with world.running(routes, environ=leaping.environ) as gateway:
        await world.doforms.until(lambda: any("nothing is deleted" in str(line["event"]) for line in gateway.lines()))
        await asyncio.sleep(4.0)
        assert world.stored("SELECT state FROM deliveries") == [("dead",)]
        assert "ahead of what it showed" in world.stored(ALARMS)[0][0]
        said: Any = await asyncio.to_thread(_prune, world, leaping)
        assert "the clock" in said
        assert "nothing was deleted" in said
        assert world.stored("SELECT state FROM deliveries") == [("dead",)]


def _prune(world: World, leaping: FakedClock) -> str:
    command = [sys.executable, "-m", "gateway", "prune", "--yes", "--routes", str(world.folder / "routes.toml")]
    environ = {**os.environ, **leaping.environ}
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    return ended.stderr
