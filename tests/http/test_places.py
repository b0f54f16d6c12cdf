"""Where a client may connect to is decided by the address of the connection itself."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address, IPv6Address

import aiohttp
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import Reach, build_client, fault_of_address
from tests.support.tcp import raw_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "fd00:ec2::254",
    "100.100.100.200",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "fe80::1%eth0",
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "224.0.0.1",
    "ff02::1",
]
PRIVATE = ["127.0.0.1", "127.9.9.9", "::1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "fc00::1", "::ffff:10.0.0.1"]
PRIVATE += ["64:ff9b::7f00:1", "100.64.0.1", "198.18.0.1", "240.0.0.1"]
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", METADATA)
def test_metadata_and_link_local_addresses_are_out_of_reach_of_answers(address: str) -> None:
    assert fault_of_address(address, Reach.PUBLIC)
    assert fault_of_address(address, Reach.PRIVATE)
    assert fault_of_address(address, Reach.ANY) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_reached_where_the_operator_is_there_too(address: str) -> None:
    assert "private" in (fault_of_address(address, Reach.PUBLIC) or "")
    assert fault_of_address(address, Reach.PRIVATE) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_in_reach(address: str) -> None:
    assert fault_of_address(address, Reach.PUBLIC) is None


@given(st.integers(0, 2**32 - 1))
def test_address_written_as_ipv6_is_judged_as_what_it_is(number: int) -> None:
    plain = fault_of_address(str(IPv4Address(number)), Reach.PUBLIC) is None
    for written in (f"::ffff:{IPv4Address(number)}", str(IPv6Address((0x64FF9B << 96) + number))):
        assert (fault_of_address(written, Reach.PUBLIC) is None) == plain


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
async def test_connection_to_a_place_out_of_reach_is_not_made_however_it_is_written(host: str) -> None:
    async with raw_server(OK) as server, build_client(reach=Reach.PUBLIC) as client:
        with pytest.raises((httpx.HTTPError, httpx.InvalidURL)) as caught:
            await client.get(f"http://{host}:{server.port}/")
        if isinstance(cause := caught.value.__cause__, aiohttp.ClientConnectorError):
            assert cause.os_error.errno == errno.EACCES
        else:  # no resolver was asked at all
            assert isinstance(caught.value, (httpx.UnsupportedProtocol, httpx.InvalidURL))
        assert server.requests == []


async def test_name_that_leads_elsewhere_the_second_time_is_checked_when_connecting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolve(*_: object, **__: object) -> list[dict[str, object]]:
        family = {"hostname": "files.example", "family": 2, "proto": 6, "flags": 0}
        return [{**family, "host": "127.0.0.1", "port": server.port}]

    monkeypatch.setattr(aiohttp.resolver.ThreadedResolver, "resolve", resolve)
    async with raw_server(OK) as server, build_client(reach=Reach.PUBLIC) as client:
        with pytest.raises(httpx.ConnectError, match="private network"):
            await client.get(f"http://files.example:{server.port}/")
        assert server.requests == []


async def test_private_place_is_reached_where_that_is_meant() -> None:
    async with raw_server(OK) as server, build_client(reach=Reach.PRIVATE) as client:
        assert (await client.get(f"http://localhost:{server.port}/")).text == "ok"
