"""Answers that break off: what a client sees when a connection dies on it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

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
        super().__init__(status_code=answer.status_code)
        self._answer = answer
        self._left = 0 if reset else int(answer.headers.get("content-length", "0")) // 2
        self._reset = reset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send as much of the answer as comes, and end the connection."""

        async def send_some(message: Message) -> None:
            body = message.get("body", b"")
            if "body" in message:
                message = {**message, "body": body[: self._left], "more_body": True}
                self._left -= len(message["body"])
            if body or "body" not in message:
                await send(message)

        if not self._reset:
            await self._answer(scope, receive, send_some)
        scope["state"]["cut"](scope["client"], reset=self._reset)
        while (await receive())["type"] != "http.disconnect":
            pass
