"""The body of a request: read up to a limit, and only while there is memory for it beside all that waits."""

from __future__ import annotations

from starlette.types import Receive

from gateway.delivery.room import Room
from gateway.errors import CannotKeep

LARGEST_BODY = 1024 * 1024
_TOO_LARGE = b"\0" * (LARGEST_BODY + 1)
_FORGOTTEN = 16 * LARGEST_BODY


class Bodies:
    """Reads bodies, and counts what it holds of those that are not whole yet."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held = 0

    async def read(self, receive: Receive, declared: bytes) -> bytes | None:
        """Read a body; one that is too large is cut. None: the client has hung up.

        A body that is declared too large is not read at all. Of another one that is not wanted the rest is read and
        forgotten, up to a limit: a client that is cut off while it still sends may never see the answer.

        Raises:
            CannotKeep: there is no memory for it.
        """
        if declared.isdigit() and int(declared[:20]) > LARGEST_BODY:
            return _TOO_LARGE
        body, too_large, why = b"", False, None
        held = forgotten = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                part = bytes(message.get("body", b""))
                too_large = too_large or len(body) + len(part) > LARGEST_BODY
                why = why or self._room.memory_full(self._held + len(part))
                if too_large or why is not None:
                    body, forgotten = b"", forgotten + len(part)
                else:
                    body += part
                if forgotten > _FORGOTTEN or not message.get("more_body", False):
                    break
                self._held, held = self._held + len(body) - held, len(body)
        finally:
            self._held -= held
        if too_large:
            return _TOO_LARGE
        if why is not None:
            raise CannotKeep(why)
        return body
