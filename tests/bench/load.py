"""A load generator: so many connections, each sending the next request as soon as it has its answer, or at a rate.

``python -m tests.bench.load URL COUNT`` prints one JSON object: seconds, answers by status, latencies. At a rate, the
latency of a request counts from when it was due, so that a server that falls behind cannot hide it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import cast
from urllib.parse import urlsplit

import uvloop

WEBSERVICE = "acme$$1$$Published$$2"
HEADER = ("X-Webhook-Key", "bench-secret")
LONGEST = 120.0
"""Seconds after which a run that has not ended is taken for stuck."""


def body_of(number: int, records: int = 0) -> bytes:
    """Return a notification as doForms sends it, of a record of its own, or of one of so many."""
    return json.dumps(
        {
            "key": f"notification-{number}",
            "customerKey": "customer",
            "submissionKey": f"record-{number % records if records else number}",
            "webserviceId": WEBSERVICE,
            "event": "create",
            "status": "new",
            "createTime": "2026-01-31T08:00:00.000Z",
        }
    ).encode()


class Connection(asyncio.Protocol):
    """One connection: sends, waits for the whole answer, then asks for the next request."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._buffer = b""
        self._due = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._source.next(self)

    def send(self, request: bytes, due: float) -> None:
        """Send a request that was due at a moment of `time.perf_counter`."""
        self._due = due
        self._transport.write(request)

    def finish(self) -> None:
        """Send nothing more."""
        self._transport.close()
        if not self.done.done():
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        if len(rest) < int(lower[at:].split(b"\r\n", 1)[0]):
            return
        self._buffer = b""
        self._source.latencies.append(time.perf_counter() - self._due)
        self._source.statuses[head[9:12].decode()] += 1
        self._source.next(self)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"the server hung up: {error}"))


class Source:
    """The requests that are still to be sent, and what came back."""

    def __init__(self, requests: Iterator[bytes], rate: float) -> None:
        self._requests = requests
        self._between = 1 / rate if rate else 0.0
        self._due = 0.0
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()

    def next(self, connection: Connection) -> None:
        """Give a connection its next request, at once or when it is due."""
        request = next(self._requests, None)
        if request is None:
            connection.finish()
            return
        moment = time.perf_counter()
        if not self._between:
            connection.send(request, moment)
            return
        self._due = self._due + self._between if self._due else moment
        wait = self._due - moment
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, connection.send, request, self._due)
        else:
            connection.send(request, self._due)


async def run(
    url: str, count: int, *, connections: int, first: int = 0, records: int = 0, rate: float = 0.0
) -> dict[str, object]:
    """Send ``count`` notifications over so many connections, of ``records`` records, ``rate`` a second; 0: no limit."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        f"{HEADER[0]}: {HEADER[1]}\r\ncontent-length: "
    ).encode()
    bodies = [body_of(first + number, records) for number in range(count)]
    source = Source(iter([head + str(len(body)).encode() + b"\r\n\r\n" + body for body in bodies]), rate)
    loop = asyncio.get_running_loop()
    started_at = time.time()
    started = time.perf_counter()
    made = [
        await loop.create_connection(lambda: Connection(source), parts.hostname, parts.port) for _ in range(connections)
    ]
    async with asyncio.timeout(LONGEST):
        await asyncio.gather(*(protocol.done for _, protocol in made))
    seconds = time.perf_counter() - started
    ordered = sorted(source.latencies)
    return {
        "started_at": started_at,
        "seconds": seconds,
        "per_second": len(ordered) / seconds,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
        "statuses": dict(source.statuses),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.load")
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--first", type=int, default=0, help="number of the first notification")
    parser.add_argument("--records", type=int, default=0, help="so many records; 0: one for each notification")
    parser.add_argument(
        "--rate", type=float, default=0.0, help="notifications a second; 0: as fast as they are answered"
    )
    given = vars(parser.parse_args())
    print(json.dumps(uvloop.run(run(given.pop("url"), given.pop("count"), **given))))
