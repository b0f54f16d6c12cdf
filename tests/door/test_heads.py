"""A head, trailers and chunk extensions without end: refused beyond a bound, and memory stays flat."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.web.protocol.head import HEAD_WITHIN, LARGEST_HEAD, LARGEST_URL, MOST_HEADERS
from tests.door.gate import Gate, gate, head, notification, send_all, status

FLOOD = 200 * 1024 * 1024
PIECE = 64 * 1024
GROWTH_MB = 50.0
CHUNKED = head("Transfer-Encoding: chunked")
BEGUN = b"POST /hook HTTP/1.1\r\nHost: x\r\n"
HEADER = b"X-Filler: " + b"b" * 50 + b"\r\n"

FLOODS = {
    "one header": (BEGUN + b"X-Long: ", b"a", 431),
    "the name of a header": (BEGUN, b"a", 431),
    "many headers": (BEGUN, HEADER, 431),
    "a header in lines": (BEGUN + b"X-Folded: ", b"a" * 50 + b"\r\n ", 0),
    "a URL": (b"POST /", b"a", 414),
    "a method": (b"", b"POST", 400),
    "empty lines": (b"", b"\r\n", 431),
    "a chunk extension": (CHUNKED + b"1;a=", b"a", 431),
    "many chunk extensions": (CHUNKED, b"1;" + b"a" * 60 + b"\r\n{\r\n", 431),
    "trailers": (CHUNKED + b"1\r\n{\r\n0\r\n", HEADER, 431),
    "one trailer": (CHUNKED + b"1\r\n{\r\n0\r\nX-Long: ", b"a", 431),
}


def flood(begin: bytes, filler: bytes) -> Iterator[bytes]:
    yield begin
    piece = filler * (PIECE // len(filler))
    for _ in range(FLOOD // len(piece)):
        yield piece


@pytest.mark.parametrize("name", FLOODS)
async def test_flooded_gateway_answers_good_notifications_and_does_not_grow(tmp_path: Path, name: str) -> None:
    begin, filler, _ = FLOODS[name]
    with gate(tmp_path) as one:
        assert (await one.good("warm"))[0] == 200
        before = one.peak_mb
        async with one.good_traffic() as good:
            for _ in range(2):
                await send_all(one, flood(begin, filler))
            await asyncio.sleep(1.0)
        good.all_answered()
        assert one.peak_mb - before < GROWTH_MB
        [*_, refused] = one.lines("a request was refused")
        assert refused["client"] == "127.0.0.2"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with gate(tmp_path_factory.mktemp("gate")) as made:
        yield made


@pytest.mark.parametrize("name", [name for name, (_, _, told) in FLOODS.items() if told])
async def test_what_is_over_a_bound_is_told_its_status_and_the_connection_closed(one: Gate, name: str) -> None:
    begin, filler, told = FLOODS[name]
    answer = await one.ask(begin + filler * (160 * 1024 // len(filler)))
    assert status(answer) == told, answer
    assert b"\r\nconnection: close\r\n" in answer
    assert b'{"error": "' in answer


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        pytest.param(notification("h1", "X-Filler: " + "a" * (LARGEST_HEAD - 400)), 200, id="a head just below"),
        pytest.param(notification("h2", "X-Filler: " + "a" * LARGEST_HEAD), 431, id="a head just over"),
        pytest.param(notification("h3", path="/hook?" + "a" * (LARGEST_URL - 20)), 200, id="a URL just below"),
        pytest.param(notification("h4", path="/hook?" + "a" * LARGEST_URL), 414, id="a URL just over"),
        pytest.param(
            notification("h5", *(f"X-{n}: a" for n in range(MOST_HEADERS - 4))), 200, id="as many headers as may be"
        ),
        pytest.param(notification("h6", *(f"X-{n}: a" for n in range(MOST_HEADERS))), 431, id="headers too many"),
        pytest.param(b"NONSENSE\r\n\r\n", 400, id="no HTTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 300, 400, id="TLS"),
    ],
)
async def test_a_head_is_bounded_by_size_url_and_number_of_headers(one: Gate, request_: bytes, told: int) -> None:
    for size in (len(request_), 1000):
        reader, writer = await one.connect()
        for at in range(0, len(request_), size):
            writer.write(request_[at : at + size])
            await asyncio.sleep(0)
        line = await asyncio.wait_for(reader.readline(), 20.0)
        assert int(line.split()[1]) == told
        writer.close()


async def test_trailers_are_no_headers(one: Gate) -> None:
    """A secret behind the body would be one that nobody has looked at."""
    request = b"POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    first = notification("t1", "X-First: 1")
    answer = await one.ask(first + request + b"1\r\n{\r\n0\r\nX-Webhook-Key: correct\r\n\r\n", eof=True)
    assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200, 401]


async def test_many_small_chunks_are_read(one: Gate) -> None:
    body = notification("chunks", more="x" * 20_000).partition(b"\r\n\r\n")[2]
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\nX-Trailer: one\r\n\r\n"
    assert status(await one.ask(head("Transfer-Encoding: chunked", "Connection: close") + chunks)) == 200


async def test_a_head_that_does_not_come_in_time_is_refused_and_a_silent_connection_closed(one: Gate) -> None:
    async def closed_after(sent: bytes, drip: bytes) -> tuple[float, bytes]:
        reader, writer = await one.connect()
        loop = asyncio.get_running_loop()
        began = loop.time()
        writer.write(sent)
        reading = asyncio.create_task(reader.read())
        while not reading.done():
            await asyncio.wait([reading], timeout=0.5)
            if drip and not reading.done():
                writer.write(drip)
            assert loop.time() - began < 60.0
        writer.close()
        return loop.time() - began, reading.result()

    silent, begun, dripping, blank, again = await asyncio.gather(
        closed_after(b"", b""),
        closed_after(BEGUN, b""),
        closed_after(BEGUN, b"X-A: b\r\n"),
        closed_after(b"\r\n", b"\r\n"),
        closed_after(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + BEGUN, b""),
    )
    for seconds, _ in (silent, begun, dripping, blank, again):
        assert HEAD_WITHIN - 1.0 < seconds < HEAD_WITHIN + 20.0
    assert silent[1] == b""
    assert [status(answer) for _, answer in (begun, dripping, blank)] == [408, 408, 408]
    assert [int(part[:3]) for part in again[1].split(b"HTTP/1.1 ")[1:]] == [200, 408]
