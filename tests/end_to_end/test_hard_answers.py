"""Answers that are meant to stop a gateway, and ways out through a proxy, with a real gateway process."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sqlite3
import time
import zlib
from pathlib import Path

import pytest

from tests.end_to_end.conftest import FORM, OTHER, Make, World
from tests.support.proxy import proxy_server
from tests.support.tcp import raw_server

HOSTILE = """
[destinations.hostile]
plugin = "rest"
url = "{url}"
timeout = "10s"
concurrency = 8
retry = {{ first = "50ms", max = "100ms" }}
{more}
"""
SEND = 'to = "hostile"\nmethod = "PUT"\npath = "{{ record.key }}"\njson = { site = "{{ record.fields.site }}" }\n'
ROW = 'to = "table"\ntable = "plain"\ncolumns = { record = "{{ record.fields.site }}" }\n'


def bomb(megabytes: int) -> bytes:
    """Return an answer that unpacks to so much: the same blocks again, which a full flush makes alike."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    head = squeeze.flush(zlib.Z_FULL_FLUSH)
    body = head + (squeeze.compress(bytes(1_000_000)) + squeeze.flush(zlib.Z_FULL_FLUSH)) * megabytes
    return f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def resident(world: World, what: str) -> int:
    status = Path(f"/proc/{world.gateway.process.pid}/status").read_text()  # type: ignore[union-attr]
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


async def test_eight_bombs_at_once_are_delivered_while_others_are_answered(world: World, route: Make) -> None:
    async with raw_server(bomb(1500)) as server:
        routes = route(SEND, head='mode = "delayed"') + route(ROW, form="Other", name="two")
        with world.running(routes + HOSTILE.format(url=server.url, more="")):
            before = resident(world, "VmRSS")
            struck = [await world.doforms.create(FORM, {"site": "Dock"}) for _ in range(8)]
            while not all(seen.belief == "completed" for seen in struck):
                began = time.monotonic()
                good = await world.doforms.create(OTHER, {"site": "Dock"})
                assert time.monotonic() - began < 3.0
                assert good.answers[0].status == 200
                await asyncio.sleep(0.1)
            assert resident(world, "VmHWM") - before < 200_000_000
        assert len(server.requests) == 8


async def test_status_decides_though_the_rest_of_an_answer_is_broken(world: World, route: Make) -> None:
    broken = [
        b'HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n{"id": 1}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbreaks off",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 60_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 201\r\nContent-Length: -5\r\n\r\n",
    ]
    async with raw_server(*broken) as server:
        with world.running(route(SEND, head='mode = "delayed"') + HOSTILE.format(url=server.url, more="")):
            for number in range(1, len(broken) + 1):
                seen = await world.doforms.create(FORM, {"site": "Dock"})
                await world.doforms.until(lambda seen=seen: seen.belief is not None and seen.belief != "received")
                assert (seen.belief, len(server.requests)) == ("completed", number)


async def test_what_is_no_http_is_in_doubt_after_five_attempts(world: World, route: Make) -> None:
    async with raw_server(b"220 mail.example ESMTP\r\n") as server:
        with world.running(route(SEND, head='mode = "delayed"') + HOSTILE.format(url=server.url, more="")):
            seen = await world.doforms.create(FORM, {"site": "Dock"})
            await world.doforms.until(lambda: seen.belief == "failed")
            [(state, reason)] = world.stored("SELECT state, reason FROM deliveries")
    assert len(server.requests) == 5
    assert state == "dead"
    assert reason.startswith("in doubt: given up, since its attempts end alike: no answer came: ")


@pytest.mark.parametrize("form", ["plain", "JSON", "cut"])
async def test_token_that_a_service_repeats_stands_nowhere(world: World, route: Make, form: str) -> None:
    token = 'tok"9fQ/7a+Zx\\e4k&pL2vW8sR1uY6bN3mK5jH0gD7cX'
    written = {"plain": token, "JSON": json.dumps({"token": token}), "cut": "x" * 265 + token}[form]
    body = written.encode()
    head = f"HTTP/1.1 401 Unauthorized\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    login = 'auth = { type = "header", name = "X-Token", value = "env:TOKEN" }'
    async with raw_server(head + body) as server:
        routes = route(SEND, head='mode = "delayed"') + HOSTILE.format(url=server.url, more=login)
        with world.running(routes, environ={"TOKEN": token}):
            await world.doforms.create(FORM, {"site": "Dock"})
            await world.doforms.until(lambda: world.stored("SELECT reason FROM pauses"))
        told = [world.gateway.log_file.read_text()]
        store = sqlite3.connect(world.gateway.store)
        told += [line for line in store.iterdump() if "hostile" in line]
        store.close()
    assert any("answered 401" in one for one in told)
    for one in told:
        for text in (token, json.dumps(token)[1:-1], json.dumps(json.dumps(token)[1:-1])[1:-1]):
            assert not any(text[at : at + 10] in one for at in range(len(text) - 9))


async def test_everything_goes_out_through_a_proxy_with_a_login(world: World, route: Make) -> None:
    photo = world.doforms.put_blob(FORM, "p1", b"\xff\xd8\xff" + b"photo" * 1000)
    row = ROW + "attachments = true\n"
    async with (
        raw_server(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n") as server,
        proxy_server(login="gateway:open-sesame") as proxy,
    ):
        more = 'proxy = "env:PROXY"'
        url = server.url.replace("127.0.0.1", "service.example")
        world.write(
            route(SEND, row) + HOSTILE.format(url=url, more=more),
            environ={"PROXY": proxy.url.replace("//", "//gateway:open-sesame@")},
        )
        file = world.folder / "routes.toml"
        away = world.doforms.api.replace("127.0.0.1", "doforms.example")
        text = file.read_text().replace(f'api = "{world.doforms.api}"', f'api = "{away}"\n{more}')
        file.write_text(text)
        world.gateway.start()
        world.doforms.target = world.gateway.url
        seen = await world.doforms.create(FORM, {"site": "Dock", "photo": photo}, key="r1")
        await world.doforms.until(lambda: seen.belief == "completed")
        assert world.gateway.stop() == 0
    asked = " ".join(proxy.asked)
    for part in (f"{away}/submissions/r1", f"{away}/blobs/p1", f"{url}/r1"):
        assert part in asked
    assert len(server.requests) == 1
    assert "open-sesame" not in world.gateway.log_file.read_text()


async def test_api_that_has_moved_raises_an_alarm_at_once_and_nothing_is_lost(world: World, route: Make) -> None:
    moved = b"HTTP/1.1 308 Moved\r\nLocation: https://new.example/api/v3\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(moved) as server:
        world.write(route(ROW))
        file = world.folder / "routes.toml"
        right = file.read_text()
        file.write_text(right.replace(f'api = "{world.doforms.api}"', f'api = "{server.url}/api/v2"'))
        world.gateway.start()
        world.doforms.target = world.gateway.url
        seen = await world.doforms.create(FORM, {"site": "Dock"})
        await world.doforms.until(lambda: world.stored("SELECT reason FROM pauses"), timeout=5)
        [(kind, told)] = world.stored("SELECT kind, text FROM alarms")
        assert kind == "webservice paused"
        assert "a redirect to 'https://new.example/api/v3'" in told
        assert "Put `api`" in told
        assert world.stored("SELECT fetch_attempts FROM notifications") == [(0,)]
        file.write_text(right)
        world.gateway.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
        await world.doforms.until(lambda: seen.belief == "completed", timeout=20)
        assert world.gateway.stop() == 0
