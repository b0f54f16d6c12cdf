"""The signals that the process hears: SIGTERM and SIGINT to end, SIGHUP to load the routes file again."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from gateway import first_signals

log = structlog.get_logger(__name__)


@contextmanager
def hearing(*, stop: Callable[[], None], reload: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` at the first SIGTERM or SIGINT and ``reload`` at each SIGHUP.

    A second SIGTERM or SIGINT ends the process at once, as a kill would, with 128 and the signal's number as status.
    A SIGHUP that came before is served now. Behind the block there is nothing left to end in order.
    """
    loop = asyncio.get_running_loop()
    told = False

    def end(number: signal.Signals) -> None:
        nonlocal told
        if told:
            log.warning("ended at once: what was being sent is of unknown end", signal=number.name)
            for handler in logging.getLogger().handlers:
                handler.flush()
            os._exit(128 + number)
        told = True
        stop()

    for one in first_signals.TO_END:
        loop.add_signal_handler(one, end, one)
    loop.add_signal_handler(signal.SIGHUP, reload)
    if first_signals.asked_to_reload():
        reload()
    try:
        yield
    finally:
        heard = (*first_signals.TO_END, signal.SIGHUP)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, heard)  # the loop leaves handlers that end the process
        for one in heard:
            loop.remove_signal_handler(one)
        first_signals.end_at_once()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
