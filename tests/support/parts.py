"""The parts that speak with doForms, put together on a real store and a simulated doForms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import Row, select, update

from gateway.alarms.monitor import AlarmMonitor
from gateway.calls.client import AccountClient
from gateway.calls.gate import Gate
from gateway.calls.outage import OutageDetector
from gateway.components import watch_alarms
from gateway.delivery.orphans import Orphans
from gateway.doforms.simulator import Simulator
from gateway.http import build_client
from gateway.pauses import Kind, Pauses
from gateway.records.fetcher import RecordFetcher
from gateway.routing.active import ActiveRoutes
from gateway.store.store import Store
from gateway.store.tables import notifications
from gateway.store.work import alarms, records
from gateway.store.work.alarms import Alarm
from gateway.store.work.records import KeptNotification
from tests.support.keeping import WEBSERVICE, keep, notification
from tests.support.sink import load_routes

T = TypeVar("T")

ROUTES = """
[doforms]
api = "{api}"
requests_per_minute = 60000
fetch_retry = {{ first = "10s", attempts = 2 }}
report_retry = {{ first = "10s", attempts = 2 }}
[webservices.inspection]
id = "{webservice}"
password = "env:PASSWORD"
form = "Inspection"
[webservices.silent]
id = "acme$$1$$Published$$3"
form = "Silent"
[destinations.table]
plugin = "sink"
[[routes]]
name = "route"
form = "Inspection"
events = ["create", "update", "delete", "status"]
{more}
[[routes.deliver]]
to = "table"
text = "{text}"
"""
TEXT = "{{ record.fields.site }}"


@dataclass
class Parts:
    """What a test of fetching and reporting plays with."""

    doforms: Simulator
    store: Store
    active: ActiveRoutes
    calls: AccountClient
    pauses: Pauses
    gate: Gate
    fetcher: RecordFetcher

    async def keep(self, key: str, record: str | None = "r1", **more: Any) -> KeptNotification:
        """Keep a notification of the simulator's web service whose delivery needs the record."""
        of = {name: more.pop(name) for name in ("event", "dispatch_key", "webservice_id", "created") if name in more}
        kept = await self.store.submit(keep(notification(key, record=record, **of), **({"fetch": True} | more)))
        return await self.kept(kept.id)

    async def kept(self, id_: int) -> KeptNotification:
        return (await self.store.read(lambda connection: records.load(connection, [id_])))[id_]

    async def row(self, key: str) -> Row[Any]:
        statement = select(notifications).where(notifications.c.notification_key == key)
        return await self.store.read(lambda connection: connection.execute(statement).one())

    async def wait_is_over(self) -> None:
        """Let every fetch that was put off be due."""
        await self.store.write(lambda connection: connection.execute(update(notifications).values(fetch_due_at=None)))

    def watch(self, outages: OutageDetector | None = None) -> AlarmMonitor:
        """Return the watch over the alarms."""
        return watch_alarms(
            store=self.store,
            active=self.active,
            pauses=self.pauses,
            orphans=Orphans(store=self.store, active=self.active),
            unreadable=self.fetcher.unreadable,
            outages=outages or self.calls.outages,
        )

    async def alarms(self) -> Sequence[Alarm]:
        return await self.store.read(alarms.list_alarms)

    def asked(self) -> list[str]:
        """Return the last part of the path of each call to doForms."""
        return [request.path.rpartition("/")[2] for request in self.doforms.requests]


async def whole(body: bytes) -> bytes:
    """Take a record as it came."""
    return body


async def eventually(look: Callable[[], Awaitable[T]]) -> T:
    """Look again and again until there is something to see."""
    for _ in range(500):
        if found := await look():
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true within 5 s")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with build_client(timeout=2.0) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def simulator() -> AsyncIterator[Simulator]:
    made = Simulator()
    made.add_webservice(WEBSERVICE, "secret")
    async with made.serving():
        yield made


@pytest.fixture
def doforms(simulator: Simulator) -> Simulator:
    simulator.requests.clear()
    simulator.faults.clear()
    simulator.notifications.clear()
    simulator.world.records.clear()
    simulator.world.readable_at.clear()
    simulator.put_record(WEBSERVICE, "r1", {"site": "Dock"})
    return simulator


@pytest_asyncio.fixture(loop_scope="module")
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'gateway.db'}", lease=30.0)
    await opened.open()
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def parts(tmp_path: Path, doforms: Simulator, store: Store, http: httpx.AsyncClient) -> AsyncIterator[Parts]:
    text = ROUTES.format(api=doforms.api, webservice=WEBSERVICE, more="", text=TEXT)
    active, pauses = ActiveRoutes(load_routes(tmp_path, text)), Pauses(store)
    calls = AccountClient(http, store, paused=lambda id_: pauses.reason(Kind.WEBSERVICE, id_))
    gate = Gate(store=store, active=active, client=calls, pauses=pauses)
    fetcher = RecordFetcher(store=store, active=active, gate=gate)
    yield Parts(doforms, store, active, calls, pauses, gate, fetcher)
    await fetcher.stop()
    await calls.aclose()
