"""A real gateway and bodies that do not fit: read as far as can be, kept aside within bounds, taken in after a mend."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import zlib
from typing import Any

import httpx

from tests.end_to_end.conftest import FORM, KEY, Make, World
from tests.end_to_end.test_pauses import ROW, order

ALARMS = "SELECT subject, times, text, cleared_at IS NOT NULL FROM alarms WHERE kind = 'quarantined' ORDER BY id"


def body(key: str, **more: Any) -> bytes:
    return json.dumps({"key": key, "webserviceId": FORM, "event": "create", "submissionKey": "r"} | more).encode()


def raw(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(text) + packer.flush()


async def test_byte_order_mark_and_packed_bodies_are_read(world: World, route: Make) -> None:
    cases = [
        (b"\xef\xbb\xbf" + body("mark"), {}),
        (gzip.compress(body("gzip")), {"Content-Encoding": "gzip"}),
        (gzip.compress(b"\xef\xbb\xbf" + body("gzip mark")), {"Content-Encoding": "X-GZIP"}),
        (zlib.compress(body("zlib")), {"Content-Encoding": "deflate"}),
        (raw(body("raw")), {"Content-Encoding": "deflate"}),
        (gzip.compress(zlib.compress(body("both"))), {"Content-Encoding": "deflate, gzip"}),
        (body("identity"), {"Content-Encoding": "identity"}),
        (body("plain"), {"Content-Encoding": "gzip"}),
    ]
    with world.running(route(ROW)):
        for content, headers in cases:
            answer = await world.doforms.post(content, headers=KEY | headers)
            assert (headers, answer.status, answer.body) == (headers, 200, b'{"status": "completed"}')
        assert world.stored("SELECT count(*) FROM quarantine") == [(0,)]
        kept = [row[0] for row in world.stored("SELECT body FROM notifications")]
        assert all(text.startswith(b'{"key"') for text in kept)


MISFITS: list[tuple[bytes, str, int, str, str]] = [
    (b"\xff\xfe" + '{"key": 1}'.encode("utf-16-le"), "", 400, "encoding", "UTF-16"),
    ('{"key": 1}'.encode("utf-16-be"), "", 400, "encoding", "UTF-16"),
    (gzip.compress(b"{}"), "", 400, "encoding", "Content-Encoding: gzip"),
    (b"{}", "br", 415, "coding", "only gzip, deflate, identity"),
    (gzip.compress(b"{}")[:-4], "gzip", 400, "packed", "ends too early"),
    (b"\x00\x01\x02", "gzip", 400, "packed", "damaged"),
    (gzip.compress(b" " * 50_000_000), "gzip", 413, "too-large", "more than 1 MiB"),
    (b"", "", 400, "empty", "is empty"),
    (b"{", "", 400, "not-json", "not JSON"),
    (b"[]", "", 400, "no-object", "a JSON list"),
    (b"{}", "", 400, "identifier", "`key` is missing"),
]


async def test_what_does_not_fit_has_a_code_and_an_alarm_for_each(world: World, route: Make) -> None:
    with world.running(route(ROW)):
        for content, coding, status, _, told in MISFITS:
            for _ in range(3):
                answer = await world.doforms.post(
                    content, headers=KEY | ({"Content-Encoding": coding} if coding else {})
                )
                assert (answer.status, told in json.loads(answer.body)["error"]) == (status, True), answer.body
            if status == 415:
                assert answer.headers["accept-encoding"] == "gzip, deflate, identity"
        await world.doforms.until(lambda: sum(row[1] for row in world.stored(ALARMS)) == 3 * len(MISFITS))
        raised = {subject: (times, text) for subject, times, text, _ in world.stored(ALARMS)}
        codes = [code for *_, code, _ in MISFITS]
        assert {code: times for code, (times, _) in raised.items()} == {code: 3 * codes.count(code) for code in codes}
        assert all(f"gateway quarantine drop --code {code}" in text for code, (_, text) in raised.items())
        sizes = [(code, len(content)) for content, _, _, code, _ in MISFITS for _ in range(3)]
        assert world.stored("SELECT code, full_size FROM quarantine ORDER BY id") == sizes


async def test_body_is_taken_in_after_a_mend_and_delivered_by_the_running_gateway(world: World, route: Make) -> None:
    with world.running(route(ROW)):
        world.doforms.world.put(FORM, "r", {})
        assert (await world.doforms.post(b"{}", headers=KEY)).status == 400
        assert (await world.doforms.post(body("k" * 600), headers=KEY)).status == 400
        world.stored_write("UPDATE quarantine SET body = ?, full_size = 0 WHERE id = 2", (body("mended"),))
        order(world, "quarantine", "replay", "2")
        await world.doforms.until(lambda: world.rows("SELECT record FROM plain") == [("mended",)], timeout=10)
        await world.doforms.until(lambda: world.stored("SELECT outcome FROM notifications") == [("completed",)])
        assert world.stored("SELECT id FROM quarantine") == [(1,)]
        assert (await world.doforms.post(body("mended"), headers=KEY)).body == b'{"status": "completed"}'
        order(world, "quarantine", "drop", "--all", "--yes")
        await world.doforms.until(lambda: all(row[3] for row in world.stored(ALARMS)))


async def test_good_notifications_go_on_while_junk_fills_quarantine(world: World, route: Make) -> None:
    junk = b'{"junk": "' + b"x" * (1024 * 1024 - 12) + b'"}'
    took: list[float] = []
    with world.running(route(ROW, head='mode = "delayed"')) as gateway:
        async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=4)) as http:
            done = asyncio.Event()

            async def attack(number: int) -> None:
                headers = KEY | {"X-Forwarded-For": f"192.0.2.{number}"}
                for _ in range(40):
                    assert (await http.post(gateway.url, content=junk, headers=headers)).status_code == 400

            async def be_good() -> None:
                while not done.is_set():
                    began = time.monotonic()
                    async with httpx.AsyncClient(timeout=10) as fresh:
                        answer = await fresh.post(gateway.url, content=body(f"good {len(took)}"), headers=KEY)
                    assert answer.status_code == 200
                    took.append(time.monotonic() - began)
                    await asyncio.sleep(0.2)

            good = asyncio.create_task(be_good())
            await asyncio.gather(*(attack(number) for number in range(4)))
            done.set()
            await good
        assert max(took) < 3.0, took
        [(count, size)] = world.stored("SELECT count(*), sum(size) FROM quarantine")
        assert 0 < size <= 8 * 1024 * 1024
        await world.doforms.until(lambda: sum(row[1] for row in world.stored(ALARMS)) == 160)
        [(subject, _, text, _)] = world.stored(ALARMS)
        assert (subject, "more than 600 bodies or 8.4MB of one sender came within a minute" in text) == (
            "identifier",
            True,
        )
        assert len([line for line in gateway.lines() if "kept aside" in line["event"]]) < 60
        assert count == len([line for line in gateway.lines() if line["event"] == "quarantined"])
