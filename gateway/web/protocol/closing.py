"""Closes a connection so that the answer arrives: what the client still sends is read and thrown away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import Scope

THROWN_AWAY = 64 * 1024 * 1024
"""Bytes that are read and thrown away of what nobody wants, before the connection is cut."""
LINGER = 10.0
"""Seconds in which they are."""
QUIET = 3.0
"""Seconds without any of them after which the client has had its answer, or will never have it."""


class GentleTransport(asyncio.Transport):
    """A transport whose `close` asks first: closed while its client sends, TCP resets it, and the answer is lost.

    A reset makes the client's system throw away what has arrived and was not read yet (RFC 9112, 9.6).
    """

    def __init__(self, transport: asyncio.Transport, on_close: Callable[[], None]) -> None:
        super().__init__()
        self.real = transport
        self._on_close = on_close
        self._asked = False
        # the hot way leads past this class
        self.write = transport.write  # type: ignore[method-assign]
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign]
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign]

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport says of itself."""
        return self.real.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Tell whether it is closed, or was asked to close."""
        return self._asked or self.real.is_closing()

    def close(self) -> None:
        """Have the connection close when that does not cost the client its answer."""
        if not self._asked:
            self._asked = True
            self._on_close()

    def close_now(self) -> None:
        """Close once what was written is sent, whatever the client still sends."""
        self._asked = True
        self.real.close()

    def abort(self) -> None:
        """Close at once; what was written and not sent is lost."""
        self._asked = True
        self.real.abort()


HALF_CLOSED = "gateway.half_closed"
"""Stands in the ``extensions`` of a request's scope once its client has closed its side of the connection."""


def may_be_gone(scope: Scope) -> bool:
    """Tell whether the client of a request sends nothing more: it waits for the answer, or it has hung up.

    TCP tells both alike. So it is answered, but what it was told does not count as heard.
    """
    return HALF_CLOSED in scope.get("extensions", ())


def peer_of(scope: Scope) -> str | None:
    """Return the address that a request came from."""
    client = scope.get("client")
    return client[0] if client else None
