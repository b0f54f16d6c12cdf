"""A record that cannot be fetched, and a log that can be searched: the parts together, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from gateway.api import Delivery, Receipt
from gateway.app import running
from gateway.config.load import load
from gateway.destinations.context import make_context
from gateway.destinations.registry import Registry
from gateway.doforms.simulator import Seen, Simulator
from gateway.log import Mask
from gateway.store.engine.connect import open_database
from gateway.store.operator.queries import find_deliveries
from gateway.store.operator.views import DeliveryFilter, DeliverySummary
from gateway.web.server import serving
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES, TEXT
from tests.support.sink import Sink

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Broken(Sink):
    """Raises what it must not."""

    async def deliver(self, delivery: Delivery[Any]) -> Receipt:
        raise ZeroDivisionError("division by zero")


async def became(
    folder: Path, doforms: Simulator, plugin: type[Sink] = Sink
) -> tuple[Seen, list[DeliverySummary], list[Any]]:
    """Let the simulated doForms add a record; return what it believes, the deliveries and what was logged."""
    file = folder / "routes.toml"
    text = ROUTES.format(api=doforms.api, webservice=WEBSERVICE, more="", text=TEXT)
    file.write_text(text.replace("attempts = 2", "attempts = 1"))
    routes = load(file, Registry.of(plugin), make_context=make_context, environ={"PASSWORD": "secret"})
    with capture_logs(processors=[merge_contextvars]) as logged:
        async with running(routes, mask=Mask()) as application, serving(application) as url:
            doforms.target = f"{url}/webhooks/doforms"
            seen = await doforms.create(WEBSERVICE, {"site": "Dock"}, key="r1")
            await doforms.until(lambda: seen.belief in ("completed", "failed"))
    database = open_database(routes.store)
    with database.read() as connection:
        found = find_deliveries(connection, DeliveryFilter())
    database.close()
    return seen, found, logged


async def test_a_record_that_is_there_is_delivered(tmp_path: Path, doforms: Simulator) -> None:
    seen, [delivery], _ = await became(tmp_path, doforms)
    assert (seen.belief, delivery.state, delivery.receipt and delivery.receipt["summary"]) == (
        "completed",
        "delivered",
        "took Dock",
    )


async def test_a_record_that_is_given_up_makes_its_deliveries_dead_and_the_outcome_failed(
    tmp_path: Path, doforms: Simulator
) -> None:
    doforms.faults.add(method="GET", status=404, times=None)
    seen, [delivery], _ = await became(tmp_path, doforms)
    assert (seen.belief, delivery.state, delivery.attempts) == ("failed", "dead", 0)
    assert str(delivery.reason).startswith("the record could not be fetched: given up after 1 attempt: doForms")


async def test_the_bug_of_a_plugin_is_logged_with_the_notification_it_met(tmp_path: Path, doforms: Simulator) -> None:
    seen, _, logged = await became(tmp_path, doforms, Broken)
    [line] = [line for line in logged if "bug of the plugin" in line["event"]]
    assert line["notification"] == seen.key
