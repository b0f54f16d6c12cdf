"""The one way out over HTTP: each request is sent once, nothing is followed or kept, nothing secret is logged."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
import trustme

from gateway.http import LONGEST_WAIT, build_client, certainly_unsent, excerpt, retry_after
from tests.support.tcp import raw_server, unused_port

OK = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with build_client(timeout=2.0) as made:
        yield made


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
async def test_a_request_is_not_sent_again_when_a_reused_connection_drops(
    client: httpx.AsyncClient, method: str
) -> None:
    async with raw_server(OK, b"", OK) as server:
        assert (await client.get(server.url)).text == "ok"
        with pytest.raises(httpx.TransportError) as raised:
            await client.request(method, server.url)
        assert len(server.requests) == 2
    assert not certainly_unsent(raised.value)


async def test_redirects_are_not_followed(client: httpx.AsyncClient) -> None:
    async with raw_server(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n") as server:
        assert (await client.get(server.url)).status_code == 302
        assert len(server.requests) == 1


async def test_cookies_are_not_kept(client: httpx.AsyncClient) -> None:
    async with raw_server(OK.replace(b"\r\n", b"\r\nSet-Cookie: session=1\r\n", 1)) as server:
        await client.get(server.url)
        await client.get(server.url)
        assert b"cookie" not in server.requests[1].lower()


async def test_a_refused_connection_was_certainly_not_sent(client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.TransportError) as raised:
        await client.post(f"http://127.0.0.1:{unused_port()}")
    assert certainly_unsent(raised.value)


async def test_an_unknown_host_or_protocol_was_certainly_not_sent(client: httpx.AsyncClient) -> None:
    for url in ("http://nowhere.invalid", "ftp://127.0.0.1"):
        with pytest.raises(httpx.TransportError) as raised:
            await client.post(url)
        assert certainly_unsent(raised.value)


async def test_a_silent_server_may_have_been_reached() -> None:
    async with raw_server(None) as server, build_client(timeout=0.1) as client:
        with pytest.raises(httpx.TimeoutException) as raised:
            await client.post(server.url)
        assert len(server.requests) == 1
    assert not certainly_unsent(raised.value)


async def test_certificates_are_verified_and_an_authority_of_ones_own_can_be_given(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with raw_server(OK, tls=context) as server:
        async with build_client(timeout=2.0) as stranger:
            with pytest.raises(httpx.TransportError) as raised:
                await stranger.get(server.url)
            assert certainly_unsent(raised.value)
        async with build_client(timeout=2.0, ca=tmp_path / "ca.pem") as client:
            assert (await client.get(server.url)).text == "ok"


def test_an_authority_or_certificate_that_is_none_is_refused_when_building(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        build_client(ca=tmp_path / "missing.pem")
    (tmp_path / "wrong.pem").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        build_client(cert=str(tmp_path / "wrong.pem"))


async def test_no_url_is_logged(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    async with raw_server(OK) as server:
        await client.get(f"{server.url}/s3cret")
    assert "s3cret" not in caplog.text
    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        (" 17 ", 17.0),
        ("99999999999", LONGEST_WAIT),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("soon", None),
        ("٣", None),
        pytest.param(format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True), 0.0, id="past"),
        pytest.param(format_datetime(datetime.now(UTC) + timedelta(days=9), usegmt=True), LONGEST_WAIT, id="far"),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after(httpx.Response(503, headers={"Retry-After": header.encode()})) == seconds


def test_retry_after_as_a_date_is_counted_by_the_clock_of_the_server() -> None:
    headers = {"Date": "Sat, 31 Jan 2026 12:00:00 GMT", "Retry-After": "Sat, 31 Jan 2026 12:00:17 GMT"}
    assert retry_after(httpx.Response(429, headers=headers)) == 17.0
    assert retry_after(httpx.Response(429, headers=headers | {"Retry-After": headers["Date"]})) == 0.0


def test_retry_after_in_the_future_is_the_time_until_then() -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    wait = retry_after(httpx.Response(503, headers={"Retry-After": moment}))
    assert wait == pytest.approx(60, abs=2)
    assert retry_after(httpx.Response(503)) is None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", ""),
        (b" \r\n ", ""),
        (b"line one\n\tline two", ": line one line two"),
        (b"\xff", ": \N{REPLACEMENT CHARACTER}"),
        (b"x" * 5000, ": " + "x" * 300),
    ],
)
def test_the_beginning_of_an_answer_is_told_on_one_line(body: bytes, told: str) -> None:
    assert excerpt(httpx.Response(500, content=body)) == told


async def test_a_body_of_unknown_length_is_sent_in_chunks_alone() -> None:
    heads: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).lower())
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    async with server, build_client() as client:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert (await client.post(url, content=parts())).status_code == 200
    assert b"transfer-encoding: chunked" in heads[0]
    assert b"content-length" not in heads[0]


def test_a_connect_error_of_a_fake_counts_as_unsent_and_a_time_out_of_it_does_not() -> None:
    assert certainly_unsent(httpx.ConnectError("refused"))
    assert not certainly_unsent(httpx.ConnectTimeout("late"))
    assert not certainly_unsent(httpx.ReadError("gone"))
