"""The listening sockets of the gateway and of the simulated doForms."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial

import pytest
from starlette.responses import PlainTextResponse

from gateway.doforms.simulator import server as simulator
from gateway.web import server
from gateway.web.server import bind


class _Accepted(asyncio.Protocol):
    def __init__(self) -> None:
        self.socket: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.socket.set_result(transport.get_extra_info("socket"))


@pytest.mark.parametrize(
    "listen", [bind, partial(simulator._listen, family=socket.AF_INET)], ids=["gateway", "simulator"]
)
async def test_the_parts_of_an_answer_do_not_wait_for_the_client_to_acknowledge_the_first(
    listen: Callable[[str, int], socket.socket],
) -> None:
    accepted = _Accepted()
    with listen("127.0.0.1", 0) as listening:
        serving = await asyncio.get_running_loop().create_server(lambda: accepted, sock=listening)
        async with serving:
            _, writer = await asyncio.open_connection(*listening.getsockname())
            connection = await accepted.socket
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            writer.close()


async def test_an_idle_connection_is_kept_longer_than_a_proxy_keeps_it() -> None:
    assert server._server(PlainTextResponse(), finish_within=1.0).config.timeout_keep_alive > 120
