"""Receiving over real sockets: the order of the checks, hang-ups, bursts of wrong secrets, health."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import connect
from typing import Any

import httpx
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from gateway.app import running
from gateway.http import build_client
from gateway.log import Mask
from gateway.web.server import serving
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUTES = """
[webhook]
path = "/hook"
headers = { X-Webhook-Key = ["env:KEY"] }
[accounts.other]
headers = { X-Webhook-Key = ["env:OWN"] }
[webservices.one]
id = "acme$$1"
form = "Inspection"
[webservices.two]
id = "other$$1"
form = "Inspection"
[destinations.table]
plugin = "sink"
[[routes]]
name = "one"
[[routes.deliver]]
to = "table"
text = "{{ notification.key }}"
"""
KEY = {"X-Webhook-Key": "correct"}
OWN = {"X-Webhook-Key": "their-own"}


@dataclass
class Served:
    """A gateway in this process, listening on a real socket."""

    url: str
    folder: Path
    http: httpx.AsyncClient

    async def post(self, body: Any, headers: Any = KEY, path: str = "/hook") -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post(f"{self.url}{path}", content=content, headers=headers)

    def count(self, table: str) -> int:
        with closing(connect(self.folder / "gateway.db")) as database:
            [[count]] = database.execute(f"SELECT count(*) FROM {table}")
        return int(count)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("gateway")
    routes = load_routes(folder, ROUTES, {"KEY": "correct", "OWN": "their-own"})
    async with (
        running(routes, mask=Mask()) as application,
        serving(application) as url,
        build_client(timeout=5.0) as http,
    ):
        yield Served(url, folder, http)


def body(key: str, webservice: str = "acme$$1") -> dict[str, str]:
    return {"key": key, "webserviceId": webservice, "event": "create", "submissionKey": f"r-{key}"}


async def test_a_notification_is_kept_and_answered(served: Served) -> None:
    before = served.count("notifications")
    answer = await served.post(body("kept"))
    assert (answer.status_code, answer.json()) == (200, {"status": "completed"})
    assert served.count("notifications") == before + 1


@pytest.mark.parametrize("suffix", ["/", "/other", "x", ""])
async def test_a_path_that_is_not_the_webhooks_is_not_found(served: Served, suffix: str) -> None:
    assert (await served.post(body("nowhere"), path=f"/hoo{suffix}")).status_code == 404


async def test_the_checks_go_by_method_secret_size_and_content(served: Served) -> None:
    got = await served.http.get(f"{served.url}/hook")
    assert (got.status_code, got.headers["allow"]) == (405, "POST")
    assert await head_only(served, "wrong", 1024 * 1024 + 1) == 401
    assert await head_only(served, "correct", 1024 * 1024 + 1) == 413
    assert (await served.post(b" " * 1024 * 1024)).status_code == 400


async def head_only(served: Served, secret: str, length: int) -> int:
    """Send the head of a request and return the status of the answer that comes without its body."""
    host, port = served.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /hook HTTP/1.1\r\nHost: x\r\nX-Webhook-Key: {secret}\r\nContent-Length: {length}\r\n\r\n".encode()
    )
    async with asyncio.timeout(5.0):
        line = await reader.readline()
    writer.close()
    return int(line.split()[1])


async def test_a_body_of_unknown_length_is_not_read_beyond_the_limit(served: Served) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 65536

    try:
        answer = await served.http.post(f"{served.url}/hook", content=endless(), headers=KEY)
        assert answer.status_code == 413
    except httpx.TransportError:
        pass  # the connection is closed while the client still sends: no less of a refusal


@pytest.mark.parametrize(
    ("webservice", "headers", "status"),
    [
        ("acme$$1", KEY, 200),
        ("acme$$1", OWN, 401),
        ("other$$1", OWN, 200),
        ("other$$1", KEY, 401),
        ("other$$2", KEY, 401),
        ("other$$2", OWN, 200),
        ("stranger$$1", KEY, 200),
        ("stranger$$1", OWN, 401),
    ],
)
async def test_an_account_with_headers_of_its_own_is_spoken_for_by_those_alone(
    served: Served, webservice: str, headers: dict[str, str], status: int
) -> None:
    before = served.count("notifications")
    key = f"{webservice}-{headers['X-Webhook-Key']}"
    assert (await served.post(body(key, webservice), headers)).status_code == status
    assert served.count("notifications") == before + (status == 200)


async def test_a_doubled_secret_is_refused(served: Served) -> None:
    assert (await served.post(body("doubled"), [*KEY.items(), *KEY.items()])).status_code == 401


async def test_a_sender_that_hangs_up_before_its_body_ends_leaves_nothing(served: Served) -> None:
    before = served.count("notifications"), served.count("quarantine")
    host, port = served.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /hook HTTP/1.1\r\nHost: x\r\nX-Webhook-Key: correct\r\nContent-Length: 500\r\n\r\n{")
    await writer.drain()
    writer.close()
    await asyncio.sleep(0.05)
    assert (served.count("notifications"), served.count("quarantine")) == before
    assert (await served.http.get(f"{served.url}/healthz")).status_code == 200


async def test_what_is_no_notification_is_logged_with_its_place_in_quarantine(served: Served) -> None:
    with capture_logs() as logged:
        answer = await served.post(b"not json")
    assert answer.status_code == 400
    [line] = [line for line in logged if line["event"] == "quarantined"]
    assert line["quarantine"] == served.count("quarantine")
    assert line["reason"] == answer.json()["error"]


async def test_a_few_wrong_secrets_among_right_ones_raise_no_alarm(served: Served) -> None:
    before = served.count("alarms WHERE kind = 'unauthorised'")
    for number in range(4):
        assert (await served.post(body(f"fits {number}"))).status_code == 200
        for _ in range(2):
            assert (await served.post(body("few"), {})).status_code == 401
    await asyncio.sleep(0.1)
    assert served.count("alarms WHERE kind = 'unauthorised'") == before


async def test_a_burst_of_wrong_secrets_raises_one_alarm(served: Served) -> None:
    before = served.count("alarms WHERE kind = 'unauthorised'")
    for _ in range(25):
        await served.post(body("burst"), {})
    await asyncio.sleep(0.1)
    assert (before, served.count("alarms WHERE kind = 'unauthorised'")) == (0, 1)


async def test_health_needs_no_secret_and_tells_of_the_destinations(served: Served) -> None:
    alive, ready = [await served.http.get(f"{served.url}/{name}") for name in ("healthz", "readyz")]
    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    assert ready.status_code == 200
    assert ready.json() == {"status": "ready", "store": "ready", "destinations": {"table": "ready"}}
