"""The signals that the process hears: SIGTERM and SIGINT to end, SIGHUP to load the routes file again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger(__name__)


@contextmanager
def hearing(*, stop: Callable[[], None], reload: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` at the first SIGTERM or SIGINT and ``reload`` at each SIGHUP.

    A second SIGTERM or SIGINT ends the process at once, as a kill would, with 128 and the signal's number as status.
    """
    loop = asyncio.get_running_loop()
    told = False

    def end(number: signal.Signals) -> None:
        nonlocal told
        if told:
            log.warning("ended at once: what was being sent is of unknown end", signal=number.name)
            os._exit(128 + number)
        told = True
        stop()

    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, end, one)
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(one)
