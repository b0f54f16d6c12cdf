"""Bodies that stand still: they take nobody's room, are given up in time, and are told for what they are."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

from gateway.web.body import LARGEST_BODY
from gateway.web.protocol.head import BODY_WITHIN
from tests.door.gate import Gate, gate, head, notification, status

TOO_SLOW = "a request was refused"
READY = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def stalled(one: Gate, count: int, *, secret: str, sent: int) -> AsyncIterator[list[asyncio.Task[bytes]]]:
    """Begin bodies and do not end them; yields the answers to come."""

    async def stall() -> bytes:
        reader, writer = await one.connect("127.0.0.2")
        try:
            writer.write(head(f"Content-Length: {LARGEST_BODY}", secret=secret) + b" " * sent)
            with suppress(ConnectionError):
                return await reader.read()
            return b""
        finally:
            writer.close()

    tasks = [asyncio.create_task(stall()) for _ in range(count)]
    try:
        await asyncio.sleep(2.0)
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("secret", ["their-own", "correct"], ids=["of another account", "of the same header"])
@pytest.mark.parametrize(
    ("count", "sent"),
    [pytest.param(64, LARGEST_BODY - 1, id="64 of 1 MiB"), pytest.param(300, 400_000, id="300 of 400 kB")],
)
async def test_good_notifications_are_kept_while_bodies_stand_still(
    tmp_path: Path, secret: str, count: int, sent: int
) -> None:
    with gate(tmp_path) as one:
        async with stalled(one, count, secret=secret, sent=sent) as answers:
            async with one.good_traffic() as good:
                await one.until(lambda: "bodies stalled" in one.alarms())
                ready = await one.ask(READY, eof=True)
                assert status(ready) == 200
                assert json.loads(ready.partition(b"\r\n\r\n")[2])["receiving"] == "not ready"
                await one.until(lambda: one.lines("not ready"))
                told = one.lines("not ready")[-1]["reason"]
                assert "bodies that" in told
                assert "store" not in told
                await asyncio.sleep(3.0)
            good.all_answered()
            ended = await asyncio.gather(*answers)
        assert {status(answer) for answer in ended} <= {408, 503}
        for answer in ended:
            assert b"did not come within" in answer or b"given up for others" in answer
            assert b"store" not in answer
        assert "proxy" in one.alarms()["bodies stalled"]


async def test_large_notifications_are_kept_too_while_bodies_of_others_stand_still(tmp_path: Path) -> None:
    with gate(tmp_path) as one:
        async with stalled(one, 70, secret="their-own", sent=LARGEST_BODY - 1):
            for number in range(5):
                request = notification(f"large-{number}", "Connection: close", more="x" * 900_000)
                assert status(await one.ask(request)) == 200


async def test_bodies_that_stand_still_are_given_up_in_time(tmp_path: Path) -> None:
    with gate(tmp_path) as one:
        async with stalled(one, 20, secret="correct", sent=100) as answers:
            async with asyncio.timeout(BODY_WITHIN + 20.0):
                ended = await asyncio.gather(*answers)
        assert {status(answer) for answer in ended} == {408}
        assert all(b"within 10 s of the headers: 100 bytes of it did" in answer for answer in ended)
        await one.until(lambda: sum(line.get("count", 1) for line in one.lines(TOO_SLOW)) == 20)
        assert len(one.lines(TOO_SLOW)) <= 5
        assert status(await one.ask(notification("after", "Connection: close"))) == 200


@pytest.mark.parametrize("wait", [2.0, 2.9, 4.0])
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
async def test_slow_body_is_told_from_a_slow_store(tmp_path: Path, wait: float, chunked: bool) -> None:
    with gate(tmp_path) as one:
        request, _, body = notification(f"slow-{wait}", "Connection: close").partition(b"\r\n\r\n")
        if chunked:
            request = head("Transfer-Encoding: chunked", "Connection: close")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            request += b"\r\n\r\n"
        reader, writer = await one.connect()
        writer.write(request + body[:10])
        await asyncio.sleep(wait)
        writer.write(body[10:])
        answer = await reader.read()
        writer.close()
        if wait > 3.5:  # the gateway counts from when it has read the headers
            assert status(answer) == 503
        if status(answer) == 503:
            assert b"after the headers" in answer
            assert b"the store did not commit" not in answer


async def test_slow_store_is_told_from_a_slow_body(tmp_path: Path) -> None:
    with gate(tmp_path) as one, closing(sqlite3.connect(one.process.store, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        answer = await one.ask(notification("stuck", "Connection: close"))
        holder.execute("ROLLBACK")
        assert status(answer) == 503
        assert b"the store did not commit in time" in answer


async def test_refusals_at_full_speed_are_a_line_a_second_with_a_count(tmp_path: Path) -> None:
    with gate(tmp_path) as one:
        loop = asyncio.get_running_loop()
        over, count = loop.time() + 4.0, 0

        async def guess() -> None:
            nonlocal count
            reader, writer = await one.connect("127.0.0.2")
            while loop.time() < over:
                writer.write(notification("guess", secret="wrong") * 10)
                for _ in range(10):
                    await reader.readuntil(b"}")
                    count += 1
            writer.close()

        async with one.good_traffic() as good:
            await asyncio.gather(*(guess() for _ in range(4)))
        good.all_answered()
        await asyncio.sleep(1.5)
        lines = one.lines("refused: no or wrong secret header")
        assert 2 <= len(lines) <= 4 + 20
        assert sum(line.get("count", 1) for line in lines) == count > 200
        assert all(line["client"] == "127.0.0.2" for line in lines)
