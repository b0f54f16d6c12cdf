"""Writes log lines in a thread of its own: nothing waits for whoever reads the log.

A pipe that nobody empties or a terminal that was stopped keeps a write waiting, and a full disk fails it. What does not
fit into the queue meanwhile is dropped and counted; the count is a line of its own once there is room again.
"""

from __future__ import annotations

import io
import logging
import os
import threading
import time
from collections import deque
from typing import TextIO

MOST_LINES = 10_000
"""Lines that may wait to be written."""
MOST_CHARACTERS = 8 * 1024 * 1024
"""Characters that may wait to be written."""
FLUSHED_WITHIN = 1.0
"""Seconds that the end of the process waits for the last lines."""
_AT_ONCE = 500
"""Lines that are written together."""
_AFTER_FAILURE = 0.5
"""Seconds until a stream that could not be written is tried again."""


class QueuedHandler(logging.StreamHandler[TextIO]):
    """Formats a record where it is logged, and hands the line to a thread that writes it, in the order of arrival.

    ``stream`` is None in a process that was started with it closed: then lines go nowhere.
    """

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(io.StringIO() if stream is None else stream)
        self._goes_nowhere = stream is None
        self._lines: deque[str] = deque()
        self._characters = 0
        self._dropped = 0
        self._writing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over; never waits for the stream."""
        if self._goes_nowhere:
            return
        try:
            line = self.format(record) + self.terminator
        except Exception:
            self.handleError(record)
            return
        with self._changed:
            if len(self._lines) >= MOST_LINES or self._characters + len(line) > MOST_CHARACTERS:
                self._dropped += 1
                return
            self._lines.append(line)
            self._characters += len(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep_writing, name="log", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, within: float = FLUSHED_WITHIN) -> None:
        """Wait until all lines are written, but no longer than this many seconds; `logging.shutdown` does so too."""
        until = time.monotonic() + within
        with self._changed:
            while self._lines or self._writing:
                left = until - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def _keep_writing(self) -> None:
        while True:
            lines, dropped = self._next()
            text = "".join(lines) + (self._count_of(dropped) if dropped else "")
            try:
                self._write(text)
            except (OSError, ValueError):  # a full disk, a reader that went away, a stream that was closed
                time.sleep(_AFTER_FAILURE)
                dropped += len(lines)
            else:
                dropped = 0
            with self._changed:
                self._dropped += dropped
                self._writing = False
                self._changed.notify_all()

    def _next(self) -> tuple[list[str], int]:
        """Wait for lines; returns some of them, and how many were dropped if these are the last before those."""
        with self._changed:
            while not self._lines and not self._dropped:
                self._changed.wait()
            lines = [self._lines.popleft() for _ in range(min(_AT_ONCE, len(self._lines)))]
            self._characters -= sum(map(len, lines))
            self._writing = True
            dropped = 0
            if not self._lines:
                dropped, self._dropped = self._dropped, 0
            return lines, dropped

    def _count_of(self, dropped: int) -> str:
        text = f"{dropped} log lines were dropped: nobody took them in time, or they could not be written"
        record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None)
        return self.format(record) + self.terminator

    def _write(self, text: str) -> None:
        """Write to the descriptor itself: what Python buffers it would write again at its end, and wait for that."""
        try:
            descriptor = self.stream.fileno()
        except (OSError, ValueError):  # a stream in memory
            self.stream.write(text)
            return
        left = memoryview(text.encode(errors="backslashreplace"))
        while left:
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:  # whoever started the process made it so
                time.sleep(0.05)
