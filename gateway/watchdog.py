"""Finds which plugin blocks the event loop."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import structlog

from gateway.destinations.destination import Destination

log = structlog.get_logger(__name__)

_AFTER = 2.0
"""Seconds without a beat that are told."""
_IDLE = frozenset({"selectors", "asyncio", "uvloop"})
"""Where a loop stands that nothing holds up."""


@contextmanager
def watching_for_standstill(*, after: float = _AFTER) -> Iterator[None]:
    """Watch the running loop: what holds it up for more than ``after`` seconds is logged while it does."""
    watch = _Watch(after)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


class _Watch:
    def __init__(self, after: float) -> None:
        self._after = after
        self._loop = asyncio.get_running_loop()
        self._loops_thread = threading.get_ident()
        self._last = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="standstill", daemon=True)

    def start(self) -> None:
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._next.cancel()

    def _beat(self) -> None:
        self._last = time.monotonic()
        self._next = self._loop.call_later(self._after / 4, self._beat)

    def _look(self) -> None:
        told: float | None = None
        while not self._ended.wait(self._after / 4):
            last = self._last
            if told is not None and last != told:
                log.warning("the gateway goes on", stood=round(last - told, 1))
                told = None
            if told is None and time.monotonic() - last > self._after:
                told = last if self._tell(sys._current_frames().get(self._loops_thread)) else None

    def _tell(self, frame: FrameType | None) -> bool:
        """Log what holds the loop up; False: nothing does."""
        frames = list(_outwards(frame))
        if frames and _package(frames[0]) in _IDLE:
            return False  # it waits for something to do: the machine had no time for it
        mine = [one for one in frames if isinstance(one.f_locals.get("self"), Destination)]
        if not mine:
            log.warning("the gateway stands still: one call holds up everything", call=_say(frames))
            return True
        destination = mine[0].f_locals["self"]
        package = type(destination).__module__.partition(".")[0]
        log.error(
            "a plugin blocks the gateway: everything waits until its call returns. It must give what blocks to "
            "context.in_thread: mend it, or tell its author",
            plugin=destination.name,
            destination=getattr(getattr(destination, "context", None), "name", None),
            line=_say([one for one in frames if _package(one) == package] or mine),
            call=_say(frames),
        )
        return True


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _say(frames: list[FrameType]) -> str | None:
    """Name the innermost of frames by file, line and function."""
    if not frames:
        return None
    code = frames[0].f_code
    return f"{code.co_filename}:{frames[0].f_lineno} in {code.co_name}()"
