"""Answers that break off: what a client sees when a connection dies on it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER on, with no time: closing sends a reset in place of a proper end."""


def cut(connections: Iterable[Any], client: tuple[str, int], *, reset: bool) -> None:
    """End the connection of a client: what was written is sent first, or with ``reset`` nothing more."""
    for connection in list(connections):
        transport = connection.transport
        if transport.get_extra_info("peername")[:2] == tuple(client):
            if reset:
                with socket.fromfd(
                    transport.get_extra_info("socket").fileno(), socket.AF_INET, socket.SOCK_STREAM
                ) as same:
                    same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                transport.abort()
            else:
                transport.close()


class Cut(Response):
    """An answer of which only the first half comes, or (``reset``) a reset connection."""

    def __init__(self, answer: Response, *, reset: bool) -> None:
        super().__init__(bytes(answer.body), answer.status_code)
        self.raw_headers = answer.raw_headers
        self._reset = reset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send as much of the answer as comes, and end the connection."""
        if not self._reset:
            body = bytes(self.body)
            start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await send(start)
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        scope["state"]["cut"](scope["client"], reset=self._reset)
        while (await receive())["type"] != "http.disconnect":
            pass
