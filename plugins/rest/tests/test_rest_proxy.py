"""Deliveries through a proxy: what each way in which that fails means."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from gateway_rest import Rest
from gateway_rest.options import RestSettings
from pydantic import ValidationError

from gateway.api import Delivery, Misconfigured, Unavailable

Make = Callable[..., Delivery[Any]]
MakeRest = Callable[..., Rest]
Certified = Callable[[str], ssl.SSLContext]


async def test_delivery_goes_through_the_proxy(
    serve: Callable[..., Any], rest: MakeRest, delivery: Make, service: Any
) -> None:
    proxy = await serve()
    proxy.answer(201)
    receipt = await rest(url="http://service.example/items", proxy=proxy.url).deliver(delivery())
    assert receipt.details == {"status": 201}
    [heard] = proxy.heard
    assert (heard.method, heard.target) == ("POST", "http://service.example/items")
    assert service.heard == []


async def test_proxy_that_wants_a_login_pauses_the_destination(
    serve: Callable[..., Any], rest: MakeRest, delivery: Make
) -> None:
    proxy = await serve()
    for url in ("http://service.example", "https://service.example"):
        proxy.answer(407, proxy_authenticate="Basic")
        with pytest.raises(Misconfigured, match=r"answered 407.*`proxy`") as caught:
            await rest(url=url, proxy=proxy.url.replace("//", "//user:hidden-word@")).deliver(delivery())
        assert "hidden-word" not in str(caught.value)
    assert [one.method for one in proxy.heard] == ["POST", "CONNECT"]
    assert len(proxy.heard[1].all("Proxy-Authorization")) == 1
    assert proxy.heard[1].all("Idempotency-Key") == []


async def test_proxy_that_forbids_the_way_pauses_the_destination(
    serve: Callable[..., Any], rest: MakeRest, delivery: Make
) -> None:
    proxy = await serve()
    proxy.answer(403)
    with pytest.raises(Misconfigured, match="the proxy answered 403 instead of opening the way"):
        await rest(url="https://service.example", proxy=proxy.url).deliver(delivery())


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_proxy_that_does_not_open_the_way_is_tried_again_later(
    status: int, serve: Callable[..., Any], rest: MakeRest, delivery: Make
) -> None:
    proxy = await serve()
    proxy.answer(status)
    with pytest.raises(Unavailable, match=f"the proxy answered {status} instead") as caught:
        await rest(url="https://service.example", proxy=proxy.url).deliver(delivery())
    assert caught.value.whole


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_proxy_that_is_down_is_tried_again_later(scheme: str, rest: MakeRest, delivery: Make) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unavailable, match="the proxy cannot be reached") as caught:
            await rest(url=f"{scheme}://service.example", proxy=proxy).deliver(delivery())
    assert caught.value.whole


async def test_check_tells_that_the_proxy_wants_a_login(serve: Callable[..., Any], rest: MakeRest) -> None:
    proxy = await serve()
    proxy.answer(407)
    [finding] = await rest(url="http://service.example", proxy=proxy.url).check([])
    assert (finding.where, finding.error) == ("proxy", True)


@pytest.mark.parametrize("proxy", ["proxy:3128", "socks5://proxy", "http://", "http://proxy/path", ""])
def test_proxy_that_cannot_be_used_is_told(proxy: str) -> None:
    with pytest.raises(ValidationError, match=r"Write one such as http://proxy\.example:3128"):
        RestSettings.model_validate({"url": "http://service.example", "proxy": proxy})
