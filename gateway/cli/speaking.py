"""Sets up the output of a command: data on standard output, all else on standard error, secrets masked."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

import structlog

from gateway.log import Mask, configure
from gateway.settings import LogFormat

MASK = Mask()
"""Knows every secret that this process has looked up."""


_LONGEST_LINE = 100_000
"""Characters without an end of line that are held back."""


class _Out:
    """Standard output for the command alone; what plugins and their threads print goes to standard error, masked."""

    def __init__(self, real: TextIO, aside: TextIO) -> None:
        self._real = real
        self._other = aside
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._line = ""
        self.aside = 0

    def write(self, text: str) -> int:
        if threading.get_ident() == self._thread and not self.aside:
            return self._real.write(text)
        with self._lock:
            *lines, self._line = f"{self._line}{text}".split("\n")
            if len(self._line) > _LONGEST_LINE:
                lines, self._line = [*lines, self._line], ""
            for line in lines:
                self._other.write(f"{MASK.text(line)}\n")
        return len(text)

    def end_line(self) -> None:
        """Write out what was printed without an end of line."""
        with self._lock:
            line, self._line = self._line, ""
            if line:
                self._other.write(f"{MASK.text(line)}\n")

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def set_up_logging(level: str = "WARNING") -> None:
    """Set up logging for a command: warnings and errors, or what ``GATEWAY_LOG_LEVEL`` and ``_FORMAT`` say."""
    wanted = os.environ.get("GATEWAY_LOG_LEVEL", "").upper()
    format_ = LogFormat.JSON if os.environ.get("GATEWAY_LOG_FORMAT") == LogFormat.JSON else LogFormat.CONSOLE
    configure(format_, wanted if wanted in logging.getLevelNamesMapping() else level, MASK)


@contextmanager
def plugins_speak(again: Callable[[], None] = set_up_logging) -> Iterator[None]:
    """Keep what plugins print off standard output; ``again`` puts logging right, which one of them may have changed."""
    out = sys.stdout
    if not isinstance(out, _Out):  # the command line was not begun by `speaking`
        yield
        return
    out.aside += 1
    try:
        yield
    finally:
        out.aside -= 1
        out.end_line()
        again()


@contextmanager
def speaking(*, alone: bool) -> Iterator[None]:
    """Set up what a command says; ``alone``: it has the process to itself, and programs of plugins are kept off too."""
    real = sys.stdout
    before = structlog.get_config(), logging.getLogger().handlers[:], logging.getLogger().level
    sys.stdout = cast("TextIO", _Out(_apart(real) if alone else real, sys.stderr))
    set_up_logging()
    logging.captureWarnings(True)
    try:
        yield
    finally:
        with suppress(BrokenPipeError, ValueError):  # nobody reads it any more
            sys.stdout.flush()
        if not alone:
            logging.captureWarnings(False)
            sys.stdout = real
            structlog.configure(**before[0])
            logging.getLogger().handlers[:] = before[1]
            logging.getLogger().setLevel(before[2])


def _apart(stdout: TextIO) -> TextIO:
    """Return standard output as a file of its own; its old number leads to standard error from now on."""
    with suppress(OSError, ValueError):  # one of them is closed
        stdout.flush()
        kept = os.dup(stdout.fileno())
        os.dup2(sys.stderr.fileno(), stdout.fileno())
        lines = 1 if os.isatty(kept) else -1
        return os.fdopen(kept, "w", lines, encoding=stdout.encoding, errors=stdout.errors)
    return stdout


def leave_within(seconds: float, status: int) -> None:
    """End the process in so many seconds: threads of plugins that have no end would keep it for ever."""

    def leave() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(status)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()
