"""A load generator: so many connections, each sending the next request as soon as it has its answer.

``python -m tests.bench.load URL COUNT CONNECTIONS`` prints one JSON object: seconds, answers by status, latencies.
"""

from __future__ import annotations

import asyncio
import json
import sys
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


def body_of(number: int) -> bytes:
    """Return a notification as doForms sends it, of a record of its own."""
    return json.dumps(
        {
            "key": f"notification-{number}",
            "customerKey": "customer",
            "submissionKey": f"record-{number}",
            "webserviceId": WEBSERVICE,
            "event": "create",
            "status": "new",
            "createTime": "2026-01-31T08:00:00.000Z",
        }
    ).encode()


class Connection(asyncio.Protocol):
    """One connection: sends, waits for the whole answer, sends again."""

    def __init__(self, requests: Iterator[bytes], result: Result) -> None:
        self._requests = requests
        self._result = result
        self._buffer = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            if not self.done.done():
                self.done.set_result(None)
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

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
        self._result.latencies.append(time.perf_counter() - self._sent)
        self._result.statuses[head[9:12].decode()] += 1
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"the server hung up: {error}"))


class Result:
    """What came back."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()


async def run(url: str, count: int, connections: int, first: int = 0) -> dict[str, object]:
    """Send ``count`` notifications over so many connections."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        f"{HEADER[0]}: {HEADER[1]}\r\ncontent-length: "
    ).encode()
    bodies = [body_of(first + number) for number in range(count)]
    requests = [head + str(len(body)).encode() + b"\r\n\r\n" + body for body in bodies]
    iterator = iter(requests)
    result = Result()
    loop = asyncio.get_running_loop()
    started_at = time.time()
    started = time.perf_counter()
    made = [
        await loop.create_connection(lambda: Connection(iterator, result), parts.hostname, parts.port)
        for _ in range(connections)
    ]
    async with asyncio.timeout(LONGEST):
        await asyncio.gather(*(protocol.done for _, protocol in made))
    seconds = time.perf_counter() - started
    ordered = sorted(result.latencies)
    return {
        "started_at": started_at,
        "seconds": seconds,
        "per_second": len(ordered) / seconds,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
        "statuses": dict(result.statuses),
    }


if __name__ == "__main__":
    _, target, amount, width, *begin = sys.argv
    print(json.dumps(uvloop.run(run(target, int(amount), int(width), int(begin[0]) if begin else 0))))
