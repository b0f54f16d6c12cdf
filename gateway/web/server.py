"""uvicorn on a socket of ours, without signal handling of its own: see `gateway.web.signals`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, cast

import structlog
import uvicorn
from starlette.types import ASGIApp

from gateway.errors import SettingsError
from gateway.web.protocol.bounded import BoundedProtocol
from gateway.web.protocol.connections import Connections

log = structlog.get_logger(__name__)

_QUEUE = 2048
"""Connections that may wait to be accepted."""
_UNREAD = 32 * 1024
"""Bytes of each connection that the system holds unread (it doubles that for itself): so much can come at once."""
_KEEP_IDLE = 130
"""Seconds that an idle connection is kept: longer than proxies keep theirs (Caddy two minutes, others one or less).

Ended here first, it could be just then that a proxy sends a notification down it, which doForms then hears failed."""


class _Server(uvicorn.Server):
    """A server that leaves signals alone: uvicorn would raise them again after its shutdown and so end the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(application: ASGIApp, finish_within: float, connections: Connections | None = None) -> _Server:
    known = Connections() if connections is None else connections
    config = uvicorn.Config(
        application,
        loop="none",
        http=cast(Any, partial(BoundedProtocol, known=known)),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # uvicorn would believe whatever comes from loopback; see gateway/web/clients.py
        timeout_keep_alive=_KEEP_IDLE,
        timeout_graceful_shutdown=max(1, round(finish_within)),
    )
    return _Server(config)


def bind(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    It names its protocol, which its connections take over: asyncio switches Nagle's algorithm off for those alone that
    do. With it the body of an answer, written after the head, waits 40 ms for the client's delayed acknowledgement.

    Raises:
        SettingsError: the address is in use, not of this machine, or no address at all.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNREAD)
    try:
        listening.bind((host, port))
    except (OSError, ValueError, OverflowError) as error:  # a name that none can be, a port above the highest
        listening.close()
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"cannot listen on {host}, port {port}: {reason}. Give another --host or --port") from error
    listening.listen(_QUEUE)
    listening.setblocking(False)
    return listening


async def serve_until_told(
    application: ASGIApp,
    listening: socket.socket,
    *,
    told: asyncio.Event,
    on_told: Callable[[], float],
    connections: Connections | None = None,
) -> None:
    """Serve until told, then accept no more and let open requests end.

    ``on_told`` is called then; it returns how many seconds the open requests get. ``connections`` bounds how many
    there are.
    """
    server = _server(application, finish_within=1.0, connections=connections)
    serving = asyncio.create_task(server.serve([listening]))
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if told.is_set():
        server.config.timeout_graceful_shutdown = max(1, round(on_told()))
        server.should_exit = True
    await serving


@asynccontextmanager
async def serving(
    application: ASGIApp, *, host: str = "127.0.0.1", port: int = 0, connections: Connections | None = None
) -> AsyncIterator[str]:
    """Serve in the background of this event loop; yields the URL without a slash at its end."""
    with bind(host, port) as listening:
        server = _server(application, finish_within=1.0, connections=connections)
        task = asyncio.create_task(server.serve([listening]))
        try:
            yield f"http://{host}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
