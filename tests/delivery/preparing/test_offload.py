"""Deliveries that cost much to make ready, in a gateway of this process: made ready elsewhere, put off, handed back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.app import Gateway, running
from gateway.config.load import load
from gateway.config.loaded import Routes
from gateway.destinations.context import make_context
from gateway.destinations.registry import Registry
from gateway.doforms.simulator import Simulator
from gateway.log import Mask
from gateway.store.tables import deliveries
from gateway.templates import render_pool
from gateway.web.server import serving
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES
from tests.support.sink import Sink

pytestmark = pytest.mark.asyncio(loop_scope="module")

MUCH = "{{ range(90000) | map('string') | list | length }} of {{ record.fields.site }}"
CROSSED = "range(9000) | select('in', range(9000) | list) | list"
ENDLESS = "{{ record.fields.site if record.fields.site == 'Dock' else " + CROSSED + " }}"


def routes_of(folder: Path, doforms: Simulator, text: str, more: str = 'mode = "delayed"') -> Routes:
    file = folder / "routes.toml"
    file.write_text(ROUTES.format(api=doforms.api, webservice=WEBSERVICE, more=more, text=text))
    return load(file, Registry.of(Sink), make_context=make_context, environ={"PASSWORD": "secret"})


async def states(gateway: Gateway) -> list[tuple[str, int, str | None]]:
    columns = (deliveries.c.state, deliveries.c.attempts, deliveries.c.reason)
    statement = select(*columns).order_by(deliveries.c.id)
    return await gateway.store.read(lambda connection: [tuple(row) for row in connection.execute(statement)])


async def test_what_costs_much_is_delivered_and_others_overtake_it(tmp_path: Path, doforms: Simulator) -> None:
    async with running(routes_of(tmp_path, doforms, MUCH), mask=Mask()) as gateway, serving(gateway) as url:
        doforms.target = f"{url}/webhooks/doforms"
        seen = [await doforms.create(WEBSERVICE, {"site": "Dock"}) for _ in range(5)]
        await doforms.until(lambda: all(one.belief == "completed" for one in seen), timeout=60.0)
        assert [(state, attempts) for state, attempts, _ in await states(gateway)] == [("delivered", 1)] * 5


async def test_a_condition_that_costs_much_skips(tmp_path: Path, doforms: Simulator) -> None:
    more = 'mode = "delayed"\nwhen = "(range(90000) | map(\'string\') | list | length) < 3"'
    async with running(routes_of(tmp_path, doforms, "x", more), mask=Mask()) as gateway, serving(gateway) as url:
        doforms.target = f"{url}/webhooks/doforms"
        seen = await doforms.create(WEBSERVICE, {"site": "Dock"})
        await doforms.until(lambda: seen.belief == "completed", timeout=60.0)
        [(state, _, reason)] = await states(gateway)
        assert (state, reason) == ("skipped", "`when` of the route route is false for this record")


async def test_a_crowd_of_them_is_put_off_and_costs_no_attempt(
    tmp_path: Path, doforms: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_pool, "WAITING", 1)
    monkeypatch.setattr("gateway.delivery.preparing.offload.AGAIN_AFTER", 0.2)
    async with running(routes_of(tmp_path, doforms, MUCH), mask=Mask()) as gateway, serving(gateway) as url:
        doforms.target = f"{url}/webhooks/doforms"
        seen = await asyncio.gather(*(doforms.create(WEBSERVICE, {"site": "Dock"}) for _ in range(3)))
        await doforms.until(lambda: all(one.belief == "completed" for one in seen), timeout=60.0)
        assert [(state, attempts) for state, attempts, _ in await states(gateway)] == [("delivered", 1)] * 3


async def test_a_gateway_that_is_stopped_hands_back_what_is_being_rendered(tmp_path: Path, doforms: Simulator) -> None:
    routes = routes_of(tmp_path, doforms, ENDLESS)
    async with running(routes, mask=Mask()) as gateway, serving(gateway) as url:
        doforms.target = f"{url}/webhooks/doforms"
        await doforms.create(WEBSERVICE, {"site": "endless"}, key="endless")
        good = await doforms.create(WEBSERVICE, {"site": "Dock"}, key="good")
        await doforms.until(lambda: good.belief == "completed", timeout=60.0)
        assert [state for state, _, _ in await states(gateway)] == ["pending", "delivered"]
    mended = routes_of(tmp_path, doforms, "{{ record.fields.site }}")
    async with running(mended, mask=Mask()) as gateway:
        for _ in range(400):
            if (found := await states(gateway))[0][0] == "delivered":
                break
            await asyncio.sleep(0.05)
        assert found[0][1] == 1, "that it was being rendered was no attempt"
