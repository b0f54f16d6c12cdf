"""Deliveries that wait for one another to go in one batch, in a gateway of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.api import Delivery, DeliveryError, Receipt
from gateway.app import running
from gateway.config.load import load
from gateway.destinations.context import make_context
from gateway.destinations.registry import Registry
from gateway.doforms.simulator import Simulator
from gateway.log import Mask
from gateway.web.server import serving
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES, TEXT
from tests.support.sink import Sink

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Hanging(Sink):
    """Takes several at once; what goes to the site "Slow" hangs until it is let go."""

    hangs: asyncio.Event
    let_go: asyncio.Event

    async def deliver(self, delivery: Delivery[Any]) -> Receipt:
        if delivery.options.text == "Slow":
            self.hangs.set()
            await self.let_go.wait()
        return await super().deliver(delivery)

    async def deliver_many(self, deliveries: Sequence[Delivery[Any]]) -> list[Receipt | DeliveryError]:
        return [await self.deliver(one) for one in deliveries]


async def test_a_batch_that_hangs_holds_up_no_other_for_longer_than_a_moment(
    tmp_path: Path, doforms: Simulator
) -> None:
    Hanging.hangs, Hanging.let_go = asyncio.Event(), asyncio.Event()
    file = tmp_path / "routes.toml"
    file.write_text(ROUTES.format(api=doforms.api, webservice=WEBSERVICE, more='mode = "delayed"', text=TEXT))
    routes = load(file, Registry.of(Hanging), make_context=make_context, environ={"PASSWORD": "secret"})
    async with running(routes, mask=Mask()) as application, serving(application) as url:
        doforms.target = f"{url}/webhooks/doforms"
        slow = await doforms.create(WEBSERVICE, {"site": "Slow"}, key="slow")
        async with asyncio.timeout(10):
            await Hanging.hangs.wait()
        quick = await doforms.create(WEBSERVICE, {"site": "Dock"}, key="quick")
        await doforms.until(lambda: quick.belief == "completed")
        assert slow.belief == "received"
        Hanging.let_go.set()
        await doforms.until(lambda: slow.belief == "completed")
