"""uvicorn on a socket of ours, in the background of the running event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from gateway.doforms.simulator.cutting import cut

_QUEUE = 512
"""Connections that may wait to be accepted."""


class _Server(uvicorn.Server):
    """A server that leaves signals to the process it runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve(application: ASGIApp, *, host: str, port: int, closing: Callable[[], None]) -> AsyncIterator[str]:
    """Serve until the block ends, then call ``closing`` so that requests left hanging end; yields the URL.

    Raises:
        OSError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    config = uvicorn.Config(
        application,
        loop="none",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=75,  # as nginx; uvicorn's 5 s end connections that clients still take for open
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    with _listen(host, port, family) as listening:
        running = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not running.done():  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.005)
        server.lifespan.state["cut"] = partial(cut, server.server_state.connections)  # each request's scope gets it
        name = f"[{host}]" if family == socket.AF_INET6 else host
        try:
            yield f"http://{name}:{listening.getsockname()[1]}"
        finally:
            closing()
            server.should_exit = True
            await running


def _listen(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    """Open the listening socket.

    It names its protocol, as `socket.create_server` does not: asyncio leaves Nagle's algorithm on otherwise, and the
    body of an answer, written after the head, waits 40 ms for the client's delayed acknowledgement.
    """
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_QUEUE)
    except OSError:
        listening.close()
        raise
    return listening
