"""The answer arrives, though the client sends on or has closed its side: nothing is reset before that."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from gateway.web.body import LARGEST_BODY
from gateway.web.protocol.closing import LINGER, THROWN_AWAY
from tests.door.gate import Gate, gate, head, notification, status

MIB = 1024 * 1024
AGAIN = 10


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with gate(tmp_path_factory.mktemp("gate")) as made:
        yield made


@pytest.fixture(scope="module")
def delayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with gate(tmp_path_factory.mktemp("delayed"), route='mode = "delayed"') as made:
        yield made


def send_whole(one: Gate, request: bytes) -> bytes:
    """Send a request as a simple client does: all of it, and only then look for the answer."""
    with socket.create_connection(("127.0.0.1", one.port), timeout=30) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
            first, _, rest = answer.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", first)
            if length and len(rest) == int(length[1]):
                break
        return answer


def chunked(size: int) -> bytes:
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    return chunk * (size // 65536) + b"0\r\n\r\n"


REFUSED: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "413 declared": (413, lambda size: head(f"Content-Length: {size}") + b" " * size),
    "413 undeclared": (413, lambda size: head("Transfer-Encoding: chunked") + chunked(size)),
    "413 with Expect": (413, lambda size: head(f"Content-Length: {size}", "Expect: 100-continue") + b" " * size),
    "401 declared": (401, lambda size: head(f"Content-Length: {size}", secret="wrong") + b" " * size),
    "401 undeclared": (401, lambda size: head("Transfer-Encoding: chunked", secret="wrong") + chunked(size)),
    "405": (405, lambda size: head(f"Content-Length: {size}", method="PUT") + b" " * size),
    "404": (404, lambda size: head(f"Content-Length: {size}", path="/nowhere") + b" " * size),
    "431": (431, lambda size: head("X-Filler: " + "a" * 40_000, f"Content-Length: {size}") + b" " * size),
    "414": (414, lambda size: head(f"Content-Length: {size}", path="/" + "a" * 9_000) + b" " * size),
    "400": (400, lambda size: b"NONSENSE\r\n\r\n" + b" " * size),
    "400 amid a body": (400, lambda size: head("Transfer-Encoding: chunked") + b"zz\r\n" + b" " * size),
}


@pytest.mark.parametrize("size", [2 * MIB, 20 * MIB], ids=["2 MiB", "20 MiB"])
@pytest.mark.parametrize("name", REFUSED)
async def test_a_refusal_arrives_though_the_client_sends_everything_first(one: Gate, name: str, size: int) -> None:
    told, request = REFUSED[name]
    for _ in range(AGAIN if size == 2 * MIB else 2):
        answer = await asyncio.to_thread(send_whole, one, request(size))
        assert status(answer) == told
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] if told != 404 else True


async def test_a_client_that_expects_to_be_asked_is_refused_before_it_sends(one: Gate) -> None:
    reader, writer = await one.connect()
    writer.write(head(f"Content-Length: {LARGEST_BODY + 1}", "Expect: 100-continue"))
    assert (await asyncio.wait_for(reader.readline(), 10.0)).split()[1] == b"413"
    writer.close()
    reader, writer = await one.connect()
    request, _, body = notification("expected", "Expect: 100-continue").partition(b"\r\n\r\n")
    writer.write(request + b"\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), 10.0)).split()[1] == b"100"
    writer.write(body)
    assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"200 OK"), 10.0)
    writer.close()


def send_until_cut(one: Gate, request: bytes, drip: bytes, every: float, pause: float = 0.0) -> tuple[float, int]:
    """Send on after the answer, until the connection is cut; returns seconds and bytes."""
    with socket.create_connection(("127.0.0.1", one.port), timeout=30) as connection:
        connection.sendall(request)
        assert connection.recv(65536)
        began, count = time.monotonic(), 0
        time.sleep(pause)
        with suppress(ConnectionError):
            while time.monotonic() - began < 60.0:
                connection.sendall(drip)
                count += len(drip)
                time.sleep(every)
        return time.monotonic() - began, count


@pytest.mark.parametrize("secret", ["correct", "wrong"])
async def test_what_is_thrown_away_is_bounded_in_bytes_and_time(one: Gate, secret: str) -> None:
    request = head(f"Content-Length: {1 << 40}", secret=secret)
    dripped, flooded, late = await asyncio.gather(
        asyncio.to_thread(send_until_cut, one, request, b"a", 0.2),
        asyncio.to_thread(send_until_cut, one, request, b"a" * MIB, 0.0),
        asyncio.to_thread(send_until_cut, one, request, b"a", 0.2, LINGER + 2.0),
    )
    assert dripped[0] < LINGER + 20.0
    assert flooded[1] < THROWN_AWAY + 32 * MIB
    assert late[1] < 20


async def test_a_connection_serves_on_after_a_401_with_a_body(one: Gate) -> None:
    refused = notification("no", secret="wrong", more="x" * 300_000)
    answer = await one.ask(refused + refused + notification("served", "Connection: close"))
    assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [401, 401, 200]


def as_chunks(request: bytes) -> bytes:
    first, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in first.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    half = len(body) // 2
    parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]))
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b""]) + parts + b"0\r\n\r\n"


@pytest.mark.parametrize("mode", ["one", "delayed"])
@pytest.mark.parametrize("form", ["declared", "chunked"])
@pytest.mark.parametrize("count", [1, 2, 5])
async def test_half_closed_client_is_answered(mode: str, form: str, count: int, request: pytest.FixtureRequest) -> None:
    gateway: Gate = request.getfixturevalue(mode)
    keys = [f"half-{form}-{count}-{number}" for number in range(count)]
    sent = [notification(key) for key in keys]
    answer = await gateway.ask(b"".join(as_chunks(one) if form == "chunked" else one for one in sent), eof=True)
    assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200] * count
    assert answer.count(b'{"status": "completed"}') == (count if mode == "one" else 0)


async def test_half_closed_client_with_an_unfinished_request_behind_is_answered_what_is_whole(one: Gate) -> None:
    for rest in (b"POST /ho", head("Content-Length: 100") + b"{", head("Transfer-Encoding: chunked") + b"5\r\n{"):
        answer = await one.ask(notification(f"whole-{len(rest)}") + rest, eof=True)
        assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200]


async def test_half_closed_client_without_a_whole_request_is_closed(one: Gate) -> None:
    for begun in (b"", b"POST /ho", head("Content-Length: 100") + b"{"):
        assert await one.ask(begun, eof=True) == b""


async def test_half_closed_client_counts_as_one_that_may_have_hung_up(tmp_path: Path) -> None:
    """TCP tells both alike, so doForms hears the outcome by PUT too, lest it never hears it."""
    with gate(tmp_path) as one:
        assert b'{"status": "completed"}' in await one.ask(notification("half"), eof=True)
        assert b'{"status": "completed"}' in await one.ask(notification("whole", "Connection: close"))
        await one.until(lambda: None not in answered(one).values())
        assert answered(one)["half"] == ""
        assert answered(one)["whole"] == "completed"


def answered(one: Gate) -> dict[str, str | None]:
    with one.process.read() as connection:
        rows = connection.exec_driver_sql("SELECT notification_key, answer FROM notifications").all()
    return {row[0]: row[1] for row in rows}


async def test_httpx_and_its_pool_see_nothing_of_all_this(one: Gate) -> None:
    async with httpx.AsyncClient(headers={"X-Webhook-Key": "correct"}) as http:
        url = f"http://127.0.0.1:{one.port}/hook"
        for number in range(5):
            body = notification(f"pool-{number}").partition(b"\r\n\r\n")[2]
            assert (await http.post(url, content=body)).json() == {"status": "completed"}
            assert (await http.post(url, content=b" " * (MIB + 1))).status_code == 413
            assert (await http.post(url, content=body, headers={"X-Webhook-Key": "no"})).status_code == 401
            assert (await http.get(url)).status_code == 405
