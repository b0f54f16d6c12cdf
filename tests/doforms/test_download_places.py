"""Where a download really connects to, with real servers on loopback."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp
import pytest
from pydantic import SecretStr

from gateway.doforms.client import Credentials, DoformsClient
from gateway.doforms.download import Wanted
from gateway.doforms.failures import Later, Misled
from gateway.http import build_client
from tests.doforms.test_download import WHOLE, Kept
from tests.support.proxy import proxy_server
from tests.support.tcp import raw_server

PHOTO = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(WHOLE)}\r\n\r\n".encode() + WHOLE


def leads_to(place: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


async def download(api: str, hosts: Sequence[str], proxy: str | None = None) -> bytes:
    """Download a photo; returns what came."""
    wanted, target = Wanted(expected="image/jpeg", largest=10_000, types=["*/*"]), Kept()
    credentials = Credentials(api=api, webservice_id="w", password=SecretStr("p"), attachment_hosts=hosts, proxy=proxy)
    async with build_client(timeout=2.0) as http:
        client = DoformsClient(http=http)
        try:
            await client.download(credentials, "blobs/p1", target, wanted)
        finally:
            await client.aclose()
    return target.content


async def test_download_is_followed_to_a_host_that_is_named_without_the_password() -> None:
    async with raw_server(PHOTO) as files, raw_server(leads_to(f"http://localhost:{files.port}/p1")) as api:
        assert await download(api.url, ["localhost"]) == WHOLE
    assert b"authorization: bearer w:p" in api.requests[0].lower()
    assert b"authorization" not in files.requests[0].lower()


async def test_download_that_leads_to_another_port_of_the_host_goes_without_the_password() -> None:
    async with raw_server(PHOTO) as files, raw_server(leads_to(f"{files.url}/p1")) as api:
        assert await download(api.url, []) == WHOLE
    assert b"authorization" not in files.requests[0].lower()


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "0.0.0.0", "[::]"])
async def test_download_never_leads_to_metadata_though_it_is_named(host: str) -> None:
    async with raw_server(PHOTO) as files, raw_server(leads_to(f"http://{host}:{files.port}/p1")) as api:
        with pytest.raises(Misled, match="to which no answer may lead"):
            await download(api.url, [host.strip("[]")])
        assert files.requests == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::ffff:7f00:1]", "127.0.0.2"])
async def test_download_never_leads_to_this_machine_however_that_is_written(host: str) -> None:
    async with raw_server(PHOTO) as files, raw_server(leads_to(f"http://{host}:{files.port}/p1")) as api:
        with pytest.raises((Misled, Later)):
            await download(api.url, ["files.example", "*.example"])
        assert files.requests == []


async def test_name_that_leads_to_this_machine_is_refused_when_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def resolve(_: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
        asked.append(host)
        rest = {"hostname": host, "family": 2, "proto": 6, "flags": 0, "port": port}
        return [{**rest, "host": "127.0.0.1"}]

    monkeypatch.setattr(aiohttp.resolver.ThreadedResolver, "resolve", resolve)
    async with raw_server(PHOTO) as files:
        place = f"http://files.example:{files.port}/p1"
        async with raw_server(leads_to(place)) as api:
            public = f"http://doforms.invalid:{api.port}"  # a name that nobody knows is no private one
            with pytest.raises(Misled, match=r"leads to files\.example, which is not followed: .*private network"):
                await download(public, ["files.example"])
            assert files.requests == []
            assert await download(api.url, ["files.example"]) == WHOLE, "where api is, the files may be too"
    assert asked == ["doforms.invalid", "files.example", "files.example"]


async def test_address_is_looked_at_where_a_proxy_makes_the_connection() -> None:
    async with proxy_server() as proxy, raw_server(leads_to("http://169.254.169.254/latest")) as api:
        with pytest.raises(Misled, match="to which no answer may lead"):
            await download(api.url, ["169.254.169.254"], proxy.url)
    assert len(proxy.asked) == 1
