"""A real gateway, and requests that nearly fit: path, secret and address as senders and proxies spell them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.end_to_end.conftest import FORM, Make, World
from tests.end_to_end.test_answers import ROW
from tests.support.gateway_process import GatewayProcess

ALARM = "SELECT kind, subject, times, text FROM alarms WHERE kind = 'wrong path'"


async def raw(world: World, key: str, *headers: str, path: str = "/webhooks/doforms") -> tuple[int, dict[str, Any]]:
    """Post a notification with the very head that is given; returns the status and the JSON of the answer."""
    body = world.doforms.compose(FORM, "create", submission_key=f"record {key}", key=key).body
    assert world.gateway is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", world.gateway.port)
    lines = [f"POST {path} HTTP/1.1", "Host: gateway", f"Content-Length: {len(body)}", *headers, "", ""]
    writer.write("\r\n".join(lines).encode("latin-1") + body)
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        told = await reader.readexactly(length)
    writer.close()
    return int(head.split()[1]), json.loads(told or b"{}")


RIGHT = "X-Webhook-Key: correct"


@pytest.mark.parametrize(
    "header", ["X-Webhook-Key: correct ", "x-webhook-key:correct\t", "X-WEBHOOK-KEY: \t correct \t"]
)
async def test_blanks_round_the_secret_do_not_count(world: World, route: Make, header: str) -> None:
    with world.running(route(ROW)):
        assert await raw(world, "n1", header) == (200, {"status": "completed"})


async def test_secret_that_came_twice_is_told_as_twice(world: World, route: Make) -> None:
    with world.running(route(ROW)) as gateway:
        for number in range(5):
            status, told = await raw(world, f"n{number}", RIGHT, RIGHT)
            assert (status, told) == (401, {"error": "the header x-webhook-key came twice; send it once"})
        assert (await raw(world, "n6", "X-Webhook-Key: correct, correct"))[0] == 401
        assert (await raw(world, "n7", "X-Webhook-Key: wrong"))[1] == {"error": "a secret header is missing or wrong"}
        assert any("header x-webhook-key came twice" in line["event"] for line in gateway.lines())
        text = "SELECT text FROM alarms WHERE kind = 'unauthorised'"
        await world.doforms.until(lambda: world.stored(text) != [])
        assert "carried the header x-webhook-key twice: enter it once in doForms" in world.stored(text)[0][0]


async def test_path_may_be_spelled_in_any_way_that_means_the_same(world: World, route: Make) -> None:
    spellings = ["/webhooks/doforms/", "//webhooks//doforms", "/webhooks/doforms/Added/", "/x/../webhooks/./doforms"]
    spellings += ["/webhooks/%64oforms", "/webhooks/doforms/%41DDED?a=b", "http://gateway/webhooks/doforms/edited"]
    with world.running(route(ROW)):
        for number, path in enumerate(spellings):
            status, told = await raw(world, f"n{number}", RIGHT, path=path)
            assert (path, status, told) == (path, 200, {"status": "completed"})
        assert world.stored(ALARM) == []


async def test_right_secret_at_a_wrong_path_raises_one_alarm_that_names_it(world: World, route: Make) -> None:
    with world.running(route(ROW)) as gateway:
        for number in range(200):
            assert (await raw(world, "n", RIGHT, path=f"/invented/{number}/{'x' * 3000}"))[0] == 404
        assert (await raw(world, "n", "X-Webhook-Key: wrong", path="/elsewhere"))[0] == 404
        assert (await raw(world, "n", RIGHT, path="/proxy%1b%e2%80%ae/webhooks/doforms/added"))[0] == 404
        await world.doforms.until(lambda: sum(row[2] for row in world.stored(ALARM)) == 201, timeout=10)
        [(_, subject, _, text)] = world.stored(ALARM)
        assert subject == "webhook"
        assert "/proxy\\x1b\\u202e/webhooks/doforms/added: a proxy in front keeps the prefix" in text
        assert "`gateway reconcile --books --until 0s`" in text
        lines = [line for line in gateway.lines() if "came to a path where nothing" in line["event"]]
        assert sum(line["times"] for line in lines) == 201
        assert len(lines) < 100
        assert all(len(line["path"]) < 1000 for line in lines)


def refusals(gateway: GatewayProcess) -> list[dict[str, Any]]:
    return [line for line in gateway.lines() if line["event"].startswith("refused: ")]


async def test_client_cannot_invent_its_address(world: World, route: Make) -> None:
    forged = "X-Forwarded-For: 6.6.6.6 [2J, 198.51.100.9"
    with world.running(route(ROW)) as gateway:
        assert (await raw(world, "n1", forged))[0] == 401
        await world.doforms.until(lambda: len(refusals(gateway)) == 1)  # the log is written by a thread of its own
        assert refusals(gateway)[0]["client"] == "127.0.0.1"
        text = gateway.routes.read_text().replace("[webhook]\n", '[webhook]\ntrusted_proxies = "127.0.0.0/8"\n')
        gateway.routes.write_text(text)
        await asyncio.to_thread(gateway.reload)
        assert (await raw(world, "n1", forged))[0] == 401
        await world.doforms.until(lambda: len(refusals(gateway)) == 2)
        assert refusals(gateway)[1]["client"] == "198.51.100.9"


async def test_readiness_tells_a_stranger_no_reason(world: World, route: Make) -> None:
    gone = '[destinations.gone]\nplugin = "rest"\nurl = "http://127.0.0.1:9"\nbreaker = { failures = 1 }\n'
    send = 'to = "gone"\npath = "secret-path"\njson = { key = "{{ record.key }}" }'
    with world.running(gone + route(send, head='mode = "delayed"')) as gateway:
        assert (await raw(world, "n1", RIGHT))[0] == 200
        await world.doforms.until(lambda: gateway.health()["destinations"]["gone"] != "ready", timeout=10)
        told = gateway.health()
        assert told == {
            "status": "ready",
            "store": "ready",
            "destinations": {"table": "ready", "service": "ready", "office": "ready", "folder": "ready"}
            | {"gone": "not ready"},
        }
        [line] = [line for line in gateway.lines() if line["event"] == "not ready"]
        assert (line["part"], bool(line["reason"])) == ("destination gone", True)
