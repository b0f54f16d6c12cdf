"""Ends the process in time at shutdown, whatever blocks the event loop."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import structlog

log = structlog.get_logger(__name__)

_BEAT = 0.1
"""Seconds between two beats of the event loop."""
_BLOCKED_AFTER = 2.0
"""Seconds without a beat by which the loop is taken for blocked."""
_LAST_STEPS = 10.0
"""Seconds beyond the grace for a loop that turns: to settle what is of unknown end, and to close."""
_WORD_WITHIN = 0.5
"""Seconds that the last line of the log gets: it may be the log that blocks."""
_CUT_SHORT = 1
_TOLD_BY = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def ending_within(grace: Callable[[], float]) -> Iterator[None]:
    """Watch over the end of the running loop's process; enter it after the loop's own handlers of signals are set.

    After the first SIGTERM or SIGINT: a loop that is blocked is left behind after ``grace()`` seconds, one that turns
    ten seconds later, both with exit status 1; what was being sent is of unknown end then, as after a crash. A second
    one ends the process at once, with 128 and its number, blocked or not.
    """
    watchdog = _Watchdog(grace)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()


class _Watchdog:
    def __init__(self, grace: Callable[[], float]) -> None:
        self._grace = grace
        self._loop = asyncio.get_running_loop()
        self._heard, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._onward = -1
        """Where the loop itself listens for signals."""
        self._last = time.monotonic()
        self._told = False
        self._armed = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        self._next.cancel()
        if signal.set_wakeup_fd(self._onward, warn_on_full_buffer=False) != self._woken.fileno():
            pass  # somebody has taken it over meanwhile: the loop, which ends
        if self._armed:
            faulthandler.cancel_dump_traceback_later()
        self._woken.close()  # which ends the thread

    def _beat(self) -> None:
        """Show that the loop turns, and take back what a plugin may have taken over: the signals."""
        self._last = time.monotonic()
        before = signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        if before not in (-1, self._woken.fileno()):
            self._onward = before
        for one in _TOLD_BY:
            if signal.getsignal(one) != self._interrupt:
                signal.signal(one, self._interrupt)
        self._next = self._loop.call_later(_BEAT, self._beat)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Run in the main thread, even amid a call that keeps every other thread from running but looks for signals."""
        if self._armed:
            _end(128 + number, "ended at once: what was being sent is of unknown end", signal=number)
        self._armed = True
        with suppress(Exception):  # no standard error to write to
            faulthandler.dump_traceback_later(self._grace() + _LAST_STEPS + 1.0, exit=True, file=2)

    def _watch(self) -> None:
        until: float | None = None
        patient = True
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            if not select.select([self._heard], [], [], left)[0]:
                if patient and time.monotonic() - self._last < _BLOCKED_AFTER:
                    patient, until = False, time.monotonic() + _LAST_STEPS
                    continue
                _end(_CUT_SHORT, "ended although it is blocked: what was being sent is of unknown end")
            numbers = self._heard.recv(4096)
            if not numbers:
                self._heard.close()
                return
            with suppress(OSError):  # the loop has ended
                os.write(self._onward, numbers)
            for number in numbers:
                if number not in _TOLD_BY:
                    continue
                if self._told:
                    _end(128 + number, "ended at once: what was being sent is of unknown end", signal=number)
                self._told, until = True, time.monotonic() + self._grace()


def _end(status: int, text: str, **values: object) -> None:
    """Say a last word, if it can be said, and end the process without waiting for anything."""
    word = threading.Thread(target=lambda: log.error(text, **values), daemon=True)
    word.start()
    word.join(_WORD_WITHIN)
    os._exit(status)
