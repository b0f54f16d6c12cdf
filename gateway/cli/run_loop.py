"""Runs the event loop of the service to its end, whatever a plugin does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
import uvloop

from gateway.destinations.faults import describe_fault, traceback_of

log = structlog.get_logger(__name__)


def run_to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Run until ``work`` has ended, and raise what it raises.

    A task of a plugin that calls ``sys.exit`` or raises ``KeyboardInterrupt`` stops the loop it runs in, and so does a
    plugin that stops the loop itself: that is told, and the loop goes on.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        running = loop.create_task(work)
        while not running.done():
            try:
                loop.run_until_complete(running)
            except (SystemExit, KeyboardInterrupt, RuntimeError) as error:
                if running.done() or loop.is_closed():
                    raise
                log.error(
                    "a plugin stopped the event loop, which goes on: a task of its own raised what ends a process, or "
                    "it called loop.stop(). Mend it, or tell its author",
                    error=describe_fault(error),
                    exception=traceback_of(error),
                )
