"""Memory is bounded while the store does not commit; if nothing can be written, repeats are told what can be read."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from gateway.app import Gateway, running
from gateway.http import build_client
from gateway.intake.admission import LARGEST_HELD
from gateway.log import Mask
from gateway.store.tables import notifications
from gateway.web.body import LARGEST_BODY
from gateway.web.server import serving
from tests.support.keeping import keep, notification
from tests.support.sink import load_routes
from tests.web.test_receive import KEY, ROUTES, body

FITTING = LARGEST_HELD // LARGEST_BODY


@dataclass
class Served:
    """A gateway in this process, listening on a real socket."""

    url: str
    folder: Path
    http: httpx.AsyncClient
    gateway: Gateway

    async def post(self, content: bytes) -> httpx.Response:
        return await self.http.post(f"{self.url}/hook", content=content, headers=KEY)

    @contextmanager
    def stuck(self) -> Iterator[None]:
        """Hold the store so that nothing commits."""
        with closing(sqlite3.connect(self.folder / "gateway.db", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            yield

    async def keys(self) -> set[str]:
        found = select(notifications.c.notification_key)
        return set(await self.gateway.store.read(lambda connection: connection.execute(found).scalars().all()))


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    routes = load_routes(tmp_path, ROUTES, {"KEY": "correct", "OWN": "their-own"})
    async with (
        running(routes, mask=Mask()) as gateway,
        serving(gateway) as url,
        build_client(timeout=15.0) as http,
    ):
        yield Served(url, tmp_path, http, gateway)


def large(key: str) -> bytes:
    """Return a notification that fills a body nearly."""
    return json.dumps(body(key) | {"more": "x" * (LARGEST_BODY - 300)}).encode()


def is_refused_for_memory(answer: httpx.Response) -> bool:
    return answer.status_code == 503 and "wait in memory" in answer.text and int(answer.headers["retry-after"]) > 0


async def test_while_the_store_does_not_commit_no_more_than_a_bound_waits_in_memory(served: Served) -> None:
    store, most = served.gateway.store, 0

    async def send(number: int) -> httpx.Response:
        nonlocal most
        answer = await served.post(large(f"n{number}"))
        most = max(most, store.held)
        return answer

    with served.stuck():
        answers = await asyncio.gather(*(send(number) for number in range(FITTING + 16)))
        assert {answer.status_code for answer in answers} == {503}
        refused = [number for number, answer in enumerate(answers) if is_refused_for_memory(answer)]
        assert len(refused) >= 16
        assert LARGEST_HELD / 2 < most < LARGEST_HELD + LARGEST_BODY
    await store.write(lambda _: None)
    await store.submit(keep(notification("last"), to=()))  # comes after all that waited
    assert store.held == 0
    assert await served.keys() - {"last"} == {f"n{number}" for number in range(len(answers))} - {
        f"n{n}" for n in refused
    }
    again = await asyncio.gather(*(served.post(large(f"n{number}")) for number in refused))
    assert {answer.status_code for answer in again} == {200}


@asynccontextmanager
async def half_sent(served: Served) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send the head of a request and its body up to the last byte."""
    host, port = served.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /hook HTTP/1.1\r\nHost: x\r\nX-Webhook-Key: correct\r\nContent-Length: {LARGEST_BODY}\r\n\r\n"
    writer.write(head.encode() + b" " * (LARGEST_BODY - 1))
    try:
        await writer.drain()
        yield reader, writer
    finally:
        writer.close()


async def test_bodies_that_are_being_read_count_too_and_stop_counting_when_they_end(served: Served) -> None:
    async with AsyncExitStack() as open_:
        halves = [await open_.enter_async_context(half_sent(served)) for _ in range(FITTING + 8)]
        statuses = []
        for reader, writer in reversed(halves[1:]):
            writer.write(b" ")
            statuses.append(int((await reader.readline()).split()[1]))
        assert set(statuses) == {400, 503}
        assert statuses.count(503) < 16
    assert (await served.post(large("n1"))).status_code == 200


async def test_where_nothing_can_be_written_a_repeat_is_told_its_outcome_and_without_one_must_come_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = json.dumps(body("n1")).encode()
    unmatched = json.dumps(body("n2") | {"event": "status"}).encode()
    assert (await served.post(ended)).json() == {"status": "completed"}
    assert (await served.post(unmatched)).content == b""

    @contextmanager
    def full() -> Iterator[Connection]:
        raise OperationalError("UPDATE", {}, sqlite3.OperationalError("database or disk is full"))
        yield

    room = served.gateway._receiving._admission  # type: ignore[union-attr]
    monkeypatch.setattr(served.gateway.store.database, "write", full)
    monkeypatch.setattr(room, "_free", 0)
    told: dict[str, Any] = (await served.post(ended)).json()
    assert told == {"status": "completed"}
    assert (await served.post(unmatched)).status_code == 503
    assert (await served.post(json.dumps(body("n3")).encode())).status_code == 503
