"""More connections than may be open: the idlest are closed, correct notifications are answered, an alarm is raised."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.web.protocol.connections import most_connections
from tests.door.gate import Gate, gate, head, notification, status

FILES = 200
READY = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def idle(one: Gate, count: int, *, sent: bytes = b"", addresses: int = 1) -> AsyncIterator[None]:
    """Hold so many connections open, and open a new one for each that is closed."""
    over = False

    async def hold(number: int) -> None:
        while not over:
            with suppress(OSError):
                reader, writer = await one.connect(f"127.0.0.{2 + number % addresses}")
                try:
                    writer.write(sent)
                    with suppress(OSError):
                        while await reader.read(65536):
                            pass
                finally:
                    writer.close()
            await asyncio.sleep(1.0)

    holding = [asyncio.create_task(hold(number)) for number in range(count)]
    try:
        await asyncio.sleep(1.0)
        yield
    finally:
        over = True
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)


ATTACKS = {
    "silent": b"",
    "a head begun": b"POST /hook HTTP/1.1\r\nHost: x\r\n",
    "a body begun": head("Content-Length: 1000") + b"{",
    "a refused request": notification("no", secret="wrong"),
    "a refused request and its body begun": head("Content-Length: 1000", secret="wrong") + b"{",
    "an answered request": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize(
    ("name", "addresses"),
    [(name, 1) for name in ATTACKS] + [("silent", 100), ("a body begun", 100), ("an answered request", 100)],
)
async def test_good_notifications_are_answered_while_connections_fill_all_files(
    tmp_path: Path, name: str, addresses: int
) -> None:
    with gate(tmp_path, files=(FILES, FILES)) as one:
        assert one.lines("listening")[0]["connections"] == most_connections(FILES) == 100
        async with idle(one, 260, sent=ATTACKS[name], addresses=addresses):
            async with one.good_traffic() as good:
                await asyncio.sleep(4.0)
            await one.until(lambda: "connections full" in one.alarms())
            ready = await one.ask(READY, eof=True)
            assert status(ready) == 200
            assert b'"connections":"not ready"' in ready
            await one.until(lambda: one.lines("not ready"))
            assert "connections" in one.lines("not ready")[-1]["reason"]
        good.all_answered()
        closed = one.lines("a connection was closed: the idlest, for a new one")
        assert 1 <= len(closed) <= 100
        assert max(line.get("count", 1) for line in closed) > 1
        assert "ulimit -n" in one.alarms()["connections full"]


async def test_good_notifications_of_the_attackers_own_address_are_answered_too(tmp_path: Path) -> None:
    with gate(tmp_path, files=(FILES, FILES)) as one:
        async with idle(one, 260), one.good_traffic() as good:
            one_of_them = [asyncio.create_task(_good_from(one, number)) for number in range(10)]
            assert {await task for task in one_of_them} == {200}
        good.all_answered()


async def _good_from(one: Gate, number: int) -> int:
    await asyncio.sleep(0.2 * number)
    return status(await one.ask(notification(f"theirs-{number}", "Connection: close"), address="127.0.0.2"))


async def test_the_limit_of_open_files_is_raised_at_start_where_that_is_allowed(tmp_path: Path) -> None:
    with gate(tmp_path, files=(FILES, 4096)) as one:
        assert one.lines("listening")[0]["connections"] == 2048
        assert one.most_files == 4096


async def test_1100_silent_connections_do_not_keep_good_notifications_out(tmp_path: Path) -> None:
    with gate(tmp_path, files=(1024, 1024)) as one:
        async with idle(one, 1100, addresses=3), one.good_traffic() as good:
            await asyncio.sleep(4.0)
        good.all_answered()
        assert "connections full" in one.alarms()


async def test_a_client_that_takes_no_answers_is_cut(tmp_path: Path) -> None:
    with gate(tmp_path) as one:
        before = one.peak_mb
        writers = []
        for _ in range(20):
            _, writer = await one.connect("127.0.0.2")
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(READY * 20_000)
            writers.append(writer)
        async with one.good_traffic() as good:
            await asyncio.sleep(3.0)
        good.all_answered()
        assert one.peak_mb - before < 50.0
        for writer in writers:
            writer.transport.abort()
