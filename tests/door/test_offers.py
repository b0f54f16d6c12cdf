"""Offers to speak another protocol are ignored, and the request served as it is (RFC 9110, 7.8)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.door.gate import Gate, gate, head, notification, status


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with gate(tmp_path_factory.mktemp("gate")) as made:
        yield made


OFFERS = {
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
    "h2c in small letters": ("connection: upgrade, http2-settings", "upgrade: H2C", "http2-settings: AAMA"),
    "websocket": ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhl", "Sec-WebSocket-Version: 13"),
    "several": ("Connection: keep-alive, Upgrade", "Upgrade: TLS/1.0, foo/2, HTTP/3"),
    "in two headers": ("Connection: keep-alive", "Connection: upgrade", "Upgrade: foo", "Upgrade: bar"),
    "one without Connection": ("Upgrade: h2c",),
}


@pytest.mark.parametrize("name", OFFERS)
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
async def test_an_offered_protocol_is_ignored_and_the_notification_kept(one: Gate, name: str, chunked: bool) -> None:
    key = f"{name}-{chunked}"
    plain = notification(key, *OFFERS[name])
    request = plain
    if chunked:
        body = plain.partition(b"\r\n\r\n")[2]
        request = head("Transfer-Encoding: chunked", *OFFERS[name]) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    answer = await one.ask(request + notification(f"{key}-next", "Connection: close"))
    assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200, 200]
    assert answer.count(b'{"status": "completed"}') == 2
    assert (one.folder / "out" / f"{key}.txt").exists()


async def test_an_offer_in_pieces_is_ignored_too(one: Gate) -> None:
    request = notification("pieces", *OFFERS["h2c"], "X-More: 1")
    reader, writer = await one.connect()
    for at in range(0, len(request), 7):
        writer.write(request[at : at + 7])
        await writer.drain()
    assert (await reader.readline()).split()[1] == b"200"
    writer.close()


async def test_an_offer_without_the_secret_is_401(one: Gate) -> None:
    answer = await one.ask(notification("no", *OFFERS["h2c"], secret="wrong"), eof=True)
    assert status(answer) == 401


async def test_a_tunnel_is_refused(one: Gate) -> None:
    answer = await one.ask(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n\x16\x03\x01")
    assert status(answer) == 405
