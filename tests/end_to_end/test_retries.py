"""Retries and limits of a destination, seen from its side: by a real gateway against a service that is down or slow."""

from __future__ import annotations

import asyncio

from tests.end_to_end.conftest import FORM, Make, World
from tests.support.service import Service

SEND = 'to = "mended"\npath = "records"\njson = { site = "{{ record.fields.site }}" }'
ROW = 'to = "table"\ntable = "plain"\ndelivery_key = "delivery_key"\ncolumns = { record = "{{ record.key }}" }'
DELAYED = 'mode = "delayed"'


async def create(world: World, count: int) -> list[object]:
    return await asyncio.gather(*(world.doforms.create(FORM, {"site": number}) for number in range(count)))


async def test_an_open_breaker_spares_the_destination_and_those_that_wait_and_holds_up_nobody_else(
    world: World, route: Make, service: Service
) -> None:
    breaker = 'breaker = { failures = 3, probe_after = "1s" }\nconcurrency = 1'
    few = f"{SEND}\nretry = {{ attempts = 4 }}"  # on a slow machine the same delivery can be sent, and probe twice
    with world.running(service.destination(breaker) + route(few, ROW, head=DELAYED)):
        await create(world, 20)
        await world.doforms.until(lambda: len(world.rows("SELECT * FROM plain")) == 20)
        await world.doforms.until(lambda: len(service.asked) >= 4)
        asked = len(service.asked)
        assert asked <= 5, "three open the breaker, then one probes a second"
        waiting = "SELECT count(*) FROM deliveries WHERE destination = 'mended' AND attempts = 0 AND spent = 0"
        assert world.stored(waiting)[0][0] >= 20 - asked
        service.status = 201
        left = "SELECT count(*) FROM deliveries WHERE state != 'delivered'"
        await world.doforms.until(lambda: world.stored(left) == [(0,)], timeout=20)
        assert len(service.taken) == 20


async def test_no_more_than_concurrency_are_sent_at_once(world: World, route: Make, service: Service) -> None:
    service.status, service.delay = 201, 0.1
    with world.running(service.destination("concurrency = 3") + route(SEND, head=DELAYED)):
        await create(world, 15)
        await world.doforms.until(lambda: len(service.taken) == 15)
        assert service.most_at_once == 3


async def test_a_rate_is_kept(world: World, route: Make, service: Service) -> None:
    service.status = 201
    with world.running(service.destination('rate = "5/s"') + route(SEND, head=DELAYED)):
        await create(world, 15)
        await world.doforms.until(lambda: len(service.taken) == 15)
        first, last = service.taken[0].at, service.taken[-1].at
        assert last - first >= 1.5, "a second's worth at once, then five a second"


async def test_what_the_destination_wishes_for_is_waited_for(world: World, route: Make, service: Service) -> None:
    service.headers = {"Retry-After": "2"}
    patient = 'retry = { first = "100ms", max = "1h" }'
    with world.running(service.destination(patient) + route(SEND, head=DELAYED)):
        await create(world, 1)
        await world.doforms.until(lambda: len(service.asked) == 1)
        service.status = 201
        await world.doforms.until(lambda: len(service.taken) == 1)
        first, second = service.asked
        assert 2.0 <= second.at - first.at < 5.0


async def test_an_attempt_that_takes_too_long_is_repeated_under_the_same_key(
    world: World, route: Make, service: Service
) -> None:
    service.status, service.delay = 201, 5.0
    with world.running(service.destination('timeout = "500ms"') + route(SEND, head=DELAYED)):
        await create(world, 1)
        await world.doforms.until(lambda: len(service.asked) == 1)
        service.delay = 0.0
        await world.doforms.until(lambda: world.stored("SELECT state FROM deliveries") == [("delivered",)], timeout=10)
        assert len({one.key for one in service.asked}) == 1
        [(result, reason)] = world.stored("SELECT result, reason FROM attempts")
        assert (result, "0.5 s" in reason) == ("uncertain", True)


async def test_a_refused_login_pauses_the_destination_and_spends_no_attempt(
    world: World, route: Make, service: Service
) -> None:
    service.status = 401
    with world.running(service.destination() + route(SEND, head=DELAYED)):
        await create(world, 1)
        await world.doforms.until(lambda: world.gateway.health()["destinations"]["mended"] != "ready")
        await create(world, 3)
        await asyncio.sleep(1.5)
        assert len(service.asked) == 1
        assert world.stored("SELECT DISTINCT state, attempts, spent FROM deliveries") == [("pending", 0, 0)]
