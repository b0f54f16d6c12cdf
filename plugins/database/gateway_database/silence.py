"""Gives up on a server that says nothing any more while its connection stays open, where the driver has no such limit.

A machine that vanished is noticed by keep-alives; a relay or a stopped process goes on answering those.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine

_CALLS = ("do_execute", "do_executemany", "do_execute_no_params", "do_commit", "do_rollback", "do_ping")
"""What a dialect asks of the server; the first argument is a cursor or a connection."""


class SilenceGuard:
    """Cuts connections of psycopg on which an answer has been waited for too long."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._waiting: dict[int, tuple[float, Any]] = {}
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def watch(self, engine: Engine) -> None:
        """Have every question to the server end within ``limit`` seconds: with its answer, or a lost connection."""
        for name in _CALLS:
            setattr(engine.dialect, name, self._limited(getattr(engine.dialect, name)))

    def _limited(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def ask(target: Any, *args: Any, **kwargs: Any) -> Any:
            connection = _connection_of(target)
            self._begin(connection)
            try:
                return call(target, *args, **kwargs)
            finally:
                self._waiting.pop(id(connection), None)

        return ask

    def _begin(self, connection: Any) -> None:
        self._waiting[id(connection)] = time.monotonic(), connection
        if self._thread is None or not self._thread.is_alive():
            with self._lock:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._look, name="database silence", daemon=True)
                    self._thread.start()

    def _look(self) -> None:
        """Look at what is waited for, and end when that has been nothing for a while."""
        idle_since = time.monotonic()
        while time.monotonic() - idle_since < 2 * self._limit:
            time.sleep(min(1.0, self._limit / 4))
            for key, (since, connection) in list(self._waiting.items()):
                idle_since = time.monotonic()
                if idle_since - since > self._limit and self._waiting.pop(key, None) is not None:
                    _cut(connection)


def _connection_of(target: Any) -> Any:
    """Return the driver's connection behind a pooled one or a cursor."""
    pooled = getattr(target, "dbapi_connection", None)
    return pooled if pooled is not None else getattr(target, "connection", target)


def _cut(connection: Any) -> None:
    """End the conversation below the driver, which waits in another thread and finds out so."""
    with suppress(OSError, ValueError), socket.socket(fileno=os.dup(connection.fileno())) as below:
        below.shutdown(socket.SHUT_RDWR)
