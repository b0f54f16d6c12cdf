"""A real ``gateway serve``, what strangers do to it, and correct notifications beside that."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.store.work import alarms
from tests.support.gateway_process import GatewayProcess, Process

GOOD_WITHIN = 3.0
"""Seconds after which doForms hangs up."""
ROUTES = """
[doforms]
api = "http://127.0.0.1:1/api/v2"
[webhook]
path = "/hook"
headers = {{ X-Webhook-Key = ["env:KEY"] }}
[accounts.other]
headers = {{ X-Webhook-Key = ["env:OWN"] }}
[webservices.one]
id = "acme$$1"
password = "env:PASSWORD"
form = "Inspection"
[destinations.folder]
plugin = "file"
root = "{folder}"
[[routes]]
name = "one"
{route}
[[routes.deliver]]
to = "folder"
filename = "{{{{ notification.key }}}}.txt"
format = "text"
text = "{{{{ notification.key }}}}"
"""
ENVIRON = {"KEY": "correct", "OWN": "their-own", "PASSWORD": "of-doforms"}


@dataclass
class Good:
    """What became of the correct notifications."""

    answers: list[tuple[int, float]] = field(default_factory=list)
    """Status and seconds of each; status 0: the connection broke."""

    def all_answered(self, least: int = 5) -> None:
        assert len(self.answers) >= least, self.answers
        assert Counter(status for status, _ in self.answers) == {200: len(self.answers)}, self.answers
        assert max(seconds for _, seconds in self.answers) < GOOD_WITHIN, self.answers


@dataclass
class Gate:
    """A gateway in a process of its own."""

    process: GatewayProcess
    folder: Path

    @property
    def port(self) -> int:
        return self.process.port

    @property
    def peak_mb(self) -> float:
        """The most memory that it has had."""
        assert self.process.process is not None
        status = Path(f"/proc/{self.process.process.pid}/status").read_text()
        [peak] = re.findall(r"VmHWM:\s+(\d+) kB", status)
        return int(peak) / 1024

    @property
    def most_files(self) -> int:
        """How many files it may have open."""
        assert self.process.process is not None
        soft, _ = resource.prlimit(self.process.process.pid, resource.RLIMIT_NOFILE)
        return soft

    async def connect(self, address: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))

    async def ask(self, request: bytes, *, eof: bool = False, address: str = "127.0.0.1") -> bytes:
        """Send bytes on a connection of their own and return all that comes until it is closed."""
        reader, writer = await self.connect(address)
        try:
            writer.write(request)
            if eof:
                writer.write_eof()
            async with asyncio.timeout(30.0):
                return await reader.read()
        finally:
            writer.close()

    async def good(self, key: str) -> tuple[int, float]:
        """Send a correct notification on a new connection; returns status and seconds."""
        began = time.monotonic()
        status = 0
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(10.0):
                answer = await self.ask(notification(key, "Connection: close"))
            status = int(answer.split()[1]) if answer else 0
        return status, time.monotonic() - began

    @asynccontextmanager
    async def good_traffic(self, every: float = 0.2) -> AsyncIterator[Good]:
        """Send a correct notification every so many seconds beside what the block does."""
        seen, over, sending = Good(), asyncio.Event(), set[asyncio.Task[None]]()

        async def send(number: int) -> None:
            seen.answers.append(await self.good(f"good-{id(seen)}-{number}"))

        async def keep_sending() -> None:
            number = 0
            while not over.is_set():
                sending.add(asyncio.create_task(send(number)))
                number += 1
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), every)

        task = asyncio.create_task(keep_sending())
        try:
            yield seen
        finally:
            over.set()
            await task
            await asyncio.gather(*sending)

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.process.lines() if line["event"] == event]

    def alarms(self) -> dict[str, str]:
        """Return the alarms that are raised, and their texts."""
        with self.process.read() as connection:
            return {one.kind: one.text for one in alarms.list_alarms(connection)}

    async def until(self, met: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < deadline, self.process.log_file.read_text()[-3000:]
            await asyncio.sleep(0.1)


def notification(key: str, *headers: str, secret: str = "correct", path: str = "/hook", more: str = "") -> bytes:
    """Return a correct notification as it goes over the wire."""
    told = {"key": key, "webserviceId": "acme$$1", "event": "create", "submissionKey": f"r-{key}"}
    body = json.dumps(told | ({"more": more} if more else {})).encode()
    return head(f"Content-Length: {len(body)}", *headers, secret=secret, path=path) + body


def head(*headers: str, secret: str = "correct", path: str = "/hook", method: str = "POST") -> bytes:
    """Return the head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", f"X-Webhook-Key: {secret}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


async def send_all(gate: Gate, pieces: Iterable[bytes], address: str = "127.0.0.2") -> bytes:
    """Send pieces until the gateway takes no more; return its answer."""
    reader, writer = await gate.connect(address)
    try:
        with suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(15.0):
                return await reader.read(65536)
        return b""
    finally:
        writer.close()


def status(answer: bytes) -> int:
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0


@contextmanager
def gate(folder: Path, *, files: tuple[int, int] | None = None, route: str = "") -> Iterator[Gate]:
    """Run a gateway; ``files`` are its soft and hard limit of open files."""
    (folder / "out").mkdir(exist_ok=True)
    (folder / "routes.toml").write_text(ROUTES.format(folder=folder / "out", route=route))

    def launch(arguments: Sequence[str], log: Path, environ: dict[str, str]) -> Process:
        def limit() -> None:
            if files is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, files)

        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "gateway", *arguments],
                stdout=output,
                stderr=output,
                env={**os.environ, **environ},
                preexec_fn=limit,
            )

    process = GatewayProcess(folder / "routes.toml", environ=ENVIRON, launch=launch)
    process.start()
    try:
        yield Gate(process, folder)
    finally:
        assert process.stop() == 0
