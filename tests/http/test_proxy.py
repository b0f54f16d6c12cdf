"""Requests through a proxy: plain ones, tunnels with TLS, with a login or without, by setting or by environment."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import trustme
from pydantic import SecretStr

from gateway.http import build_client, certainly_unsent, proxy_status
from gateway.text.proxy_address import ENVIRONMENT, fault_of_proxy
from tests.support.proxy import proxy_server
from tests.support.tcp import raw_server, unused_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.issue_cert("127.0.0.1", "service.example").configure_cert(context)
    return tmp_path / "ca.pem", context


async def test_plain_request_goes_through_the_proxy() -> None:
    async with raw_server(OK) as server, proxy_server() as proxy, build_client(proxy=proxy.url) as client:
        assert (await client.post(f"{server.url}/a?b=c", content=b"x")).text == "ok"
    assert proxy.asked == [f"POST {server.url}/a?b=c"]
    assert b"proxy-authorization" not in server.requests[0].lower()


async def test_plain_request_tells_the_proxy_who_sends_it() -> None:
    closing = OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    async with raw_server(closing) as server, proxy_server(login="user:pass") as proxy:
        async with build_client(proxy=proxy.url.replace("//", "//user:pass@")) as client:
            assert (await client.get(server.url, headers={"X-One": "1"})).status_code == 200
            async with client.stream("GET", server.url) as answer:
                assert answer.status_code == 200
        async with build_client(proxy=proxy.url) as client:
            assert (await client.get(server.url)).status_code == 407
    assert len(server.requests) == 2


async def test_tls_goes_through_a_tunnel_and_the_certificate_is_the_services(
    authority: tuple[Path, ssl.SSLContext],
) -> None:
    ca, context = authority
    async with raw_server(OK, tls=context) as server, proxy_server(login="user:p@ss:word") as proxy:
        address = proxy.url.replace("//", "//user:p%40ss%3Aword@")
        url = f"https://service.example:{server.port}/"
        async with build_client(proxy=SecretStr(address), ca=ca) as client:
            assert (await client.get(url)).text == "ok"
        async with build_client(proxy=address) as stranger:
            with pytest.raises(httpx.TransportError, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger.get(url)
    assert proxy.asked == [f"CONNECT service.example:{server.port}"] * 2
    assert b"proxy-authorization" not in server.requests[0].lower()


@pytest.mark.parametrize("status", [407, 403, 502, 503])
async def test_tunnel_that_the_proxy_does_not_open_leaves_nothing_sent(
    status: int, authority: tuple[Path, ssl.SSLContext]
) -> None:
    ca, context = authority
    async with (
        raw_server(OK, tls=context) as server,
        proxy_server(status=status) as proxy,
        build_client(proxy=proxy.url, ca=ca) as client,
    ):
        with pytest.raises(httpx.ProxyError) as caught:
            await client.post(server.url)
    assert (proxy_status(caught.value), certainly_unsent(caught.value)) == (status, True)
    assert server.requests == []


async def test_proxy_that_answers_a_tunnel_with_nonsense_is_no_answer_of_the_service() -> None:
    nonsense = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
    async with raw_server(nonsense) as proxy, build_client(proxy=proxy.url) as client:
        with pytest.raises(httpx.TransportError):
            await client.post("https://service.example/")


async def test_proxy_that_is_down_leaves_nothing_sent() -> None:
    async with build_client(proxy=f"http://127.0.0.1:{unused_port()}") as client:
        for url in ("http://service.example/", "https://service.example/"):
            with pytest.raises(httpx.TransportError) as caught:
                await client.post(url)
            assert certainly_unsent(caught.value)


async def test_environment_names_the_proxy_only_where_that_is_asked_for(environment: pytest.MonkeyPatch) -> None:
    async with raw_server(OK) as server, proxy_server() as proxy:
        environment.setenv("HTTP_PROXY", proxy.url)
        async with build_client() as client:
            await client.get(server.url)
        assert proxy.asked == []
        async with build_client(proxy=ENVIRONMENT) as client:
            await client.get(server.url)
            assert len(proxy.asked) == 1
            environment.setenv("NO_PROXY", "other.example,127.0.0.1")
            await client.get(server.url)
            environment.setenv("NO_PROXY", "other.example")
            environment.setenv("HTTP_PROXY", proxy.url.removeprefix("http://"))
            await client.get(server.url)
        assert len(proxy.asked) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("env", None),
        ("http://proxy.example:3128", None),
        ("https://user:p%40ss@proxy.example/", None),
        ("http://[::1]:3128", None),
        ("proxy.example:3128", "no web address"),
        ("", "no web address"),
        ("ftp://proxy.example", "no web address"),
        ("http://:3128", "no web address"),
        ("http://proxy.example:99999", "no web address"),
        ("http://proxy.example:0", "no web address"),
        ("http://proxy .example", "no web address"),
        ("http://proxy.example/path", "a path"),
        ("http://proxy.example?x", "a path"),
        ("socks5://proxy.example", "SOCKS"),
    ],
)
def test_address_of_a_proxy_is_checked(text: str, told: str | None) -> None:
    fault = fault_of_proxy(text)
    assert (fault is None) if told is None else (told in (fault or ""))
    if told is not None:
        with pytest.raises(ValueError, match="`proxy` cannot be used"):
            build_client(proxy=text)
