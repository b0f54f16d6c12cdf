"""What becomes of requests that get no answer."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_rest import Rest

from gateway.api import Delivery, Misconfigured, Unavailable, Uncertain

Make = Callable[..., Delivery[Any]]
MakeRest = Callable[..., Rest]
Certified = Callable[[str], ssl.SSLContext]

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


async def test_a_refused_connection_means_that_the_whole_service_is_down(rest: MakeRest, delivery: Make) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable, match="cannot be reached") as caught:
            await rest(url=f"http://127.0.0.1:{taken.getsockname()[1]}").deliver(delivery())
    assert caught.value.whole


@pytest.mark.parametrize("method", _METHODS)
async def test_a_connection_dropped_after_sending_leaves_it_uncertain(
    method: str, service: Any, rest: MakeRest, delivery: Make
) -> None:
    service.hang_up()
    with pytest.raises(Uncertain, match="no answer came"):
        await rest().deliver(delivery(method=method))
    assert [one.method for one in service.heard] == [method]


@pytest.mark.parametrize("method", _METHODS)
async def test_a_request_is_not_sent_again_when_a_kept_connection_drops(
    method: str, service: Any, rest: MakeRest, delivery: Make
) -> None:
    destination = rest()
    service.answer(200)
    service.hang_up()
    await destination.deliver(delivery(method=method, unique="first"))
    with pytest.raises(Uncertain):
        await destination.deliver(delivery(method=method, unique="second"))
    assert [(one.connection, *one.all("Idempotency-Key")) for one in service.heard] == [(1, "first"), (1, "second")]


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 twohundred\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000,
        b"hello, this is the page\r\n",
        b"220 mail.example.com ESMTP\r\n",
        b"\x00\x01\x02\r\n\r\n",
    ],
    ids=["no status", "too long a status", "only interim", "HTTP/0.9", "SMTP", "noise"],
)
async def test_an_answer_that_makes_no_sense_leaves_it_uncertain_and_is_soon_given_up(
    raw: bytes, service: Any, rest: MakeRest, delivery: Make
) -> None:
    service.say(raw)
    with pytest.raises(Uncertain, match=r"no answer came: what came is no answer of HTTP .*it begins with") as caught:
        await rest().deliver(delivery())
    assert caught.value.most_attempts == 5
    assert len(service.heard) == 1


async def test_the_time_limit_ends_a_silent_request_and_its_connection(
    service: Any, rest: MakeRest, delivery: Make
) -> None:
    destination = rest()
    service.stay_silent()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):  # so does the gateway, and takes it for uncertain
            await destination.deliver(delivery())
    await destination.deliver(delivery())
    assert [one.connection for one in service.heard] == [1, 2]


async def test_deliveries_run_at_the_same_time(service: Any, rest: MakeRest, delivery: Make) -> None:
    destination = rest()
    service.stay_silent()
    silent = asyncio.ensure_future(destination.deliver(delivery(unique="silent")))
    await service.next_heard()
    await destination.deliver(delivery(unique="quick"))
    assert not silent.done()
    silent.cancel()


async def test_a_cookie_is_not_sent_back(service: Any, rest: MakeRest, delivery: Make) -> None:
    destination = rest()
    service.answer(200, set_cookie="session=1; Path=/")
    for _ in range(2):
        await destination.deliver(delivery())
    assert [one.all("Cookie") for one in service.heard] == [[], []]


async def test_a_closed_destination_delivers_again(service: Any, rest: MakeRest, delivery: Make) -> None:
    destination = rest()
    for _ in range(2):
        await destination.deliver(delivery())
        await destination.close()
    assert [one.connection for one in service.heard] == [1, 2]


async def test_a_certificate_of_an_unknown_authority_is_refused(
    serve: Callable[..., Any], certified: Certified, rest: MakeRest, delivery: Make
) -> None:
    service = await serve(tls=certified("127.0.0.1"))
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await rest(url=service.url, ca=None).deliver(delivery())
    assert service.heard == []


@pytest.mark.parametrize("given", ["path", "text"])
async def test_a_certificate_of_the_authority_in_ca_is_accepted(
    given: str, serve: Callable[..., Any], certified: Certified, ca: dict[str, str], rest: MakeRest, delivery: Make
) -> None:
    service = await serve(tls=certified("127.0.0.1"))
    await rest(url=service.url, ca=ca[given]).deliver(delivery())
    assert len(service.heard) == 1


async def test_a_certificate_for_another_name_is_refused(
    serve: Callable[..., Any], certified: Certified, ca: dict[str, str], rest: MakeRest, delivery: Make
) -> None:
    service = await serve(tls=certified("other.example"))
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await rest(url=service.url, ca=ca["path"]).deliver(delivery())
    assert service.heard == []


@pytest.mark.parametrize("text", [None, "no certificate", "-----BEGIN CERTIFICATE-----\nx\n"])
async def test_an_authority_that_cannot_be_used_pauses_the_destination(
    text: str | None, tmp_path: Path, service: Any, rest: MakeRest, delivery: Make
) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    destination = rest(ca=text if text and "BEGIN" in text else str(path))
    await destination.open()
    with pytest.raises(Misconfigured, match=r"(ca\.pem|the text) in `ca` cannot be used"):
        await destination.deliver(delivery())
    assert service.heard == []
