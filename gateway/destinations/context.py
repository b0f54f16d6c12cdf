"""What the core gives each destination: its name, a log, a clock, an HTTP client, threads."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

import httpx
import structlog

from gateway.destinations.destination import Context, Logger
from gateway.http import build_client
from gateway.text.mask import Mask

P = ParamSpec("P")
R = TypeVar("R")

_THREADS = 16
"""Blocking calls that one destination can have under way."""


class DestinationContext:
    """The `Context` of one destination."""

    def __init__(self, name: str, mask: Mask | None = None) -> None:
        self.name = name
        self._mask = mask or Mask()
        self.log: Logger = structlog.get_logger("gateway.destinations").bind(destination=name)
        self._threads: ThreadPoolExecutor | None = None

    def clock(self) -> datetime:
        """Return the time, aware and UTC."""
        return datetime.now(UTC)

    def http(self, **options: Any) -> httpx.AsyncClient:
        """Build an HTTP client; see `gateway.http.build_client`."""
        return build_client(**{"hide": self._mask.text, **options})

    async def in_thread(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking function in a thread; on cancellation wait for it first, since it cannot be stopped."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"destination-{self.name}")
        call = functools.partial(_outcome, functools.partial(function, *args, **kwargs))
        running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        cancelled: asyncio.CancelledError | None = None
        while not running.done():
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError as error:
                cancelled = error
        value, raised = running.result()
        if cancelled is not None:
            raise cancelled
        if raised is not None:
            raise raised
        return value  # type: ignore[return-value]


def _outcome(call: Callable[[], R]) -> tuple[R | None, BaseException | None]:
    """Return what a call returned or raised: a future takes neither ``StopIteration`` nor a foreign cancellation."""
    try:
        return call(), None
    except BaseException as error:
        return None, error


def make_context(name: str, mask: Mask | None = None) -> Context:
    """Make the context of the destination with this name in the routes file; ``mask`` knows what must not be told."""
    return DestinationContext(name, mask)
