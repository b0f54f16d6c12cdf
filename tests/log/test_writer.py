"""The thread that writes log lines: bounded, in order, with a count of what was dropped."""

from __future__ import annotations

import io
import logging
import os
import threading
import time

import pytest

from gateway.log import writer as log_writer
from gateway.log.writer import QueuedHandler


class Stuck(io.StringIO):
    """A stream that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()

    def write(self, text: str) -> int:
        self.free.wait()
        return super().write(text)


def told(handler: QueuedHandler, *texts: str) -> None:
    for text in texts:
        handler.emit(logging.LogRecord("test", logging.INFO, "", 0, text, None, None))


def test_lines_come_in_the_order_in_which_they_were_logged() -> None:
    stream = io.StringIO()
    handler = QueuedHandler(stream)
    told(handler, *(str(number) for number in range(5000)))
    handler.flush(10.0)
    assert stream.getvalue().split() == [str(number) for number in range(5000)]


def test_lines_that_find_no_room_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "MOST_LINES", 10)
    stream = Stuck()
    handler = QueuedHandler(stream)
    told(handler, "first")
    while handler._lines:  # it is being written
        time.sleep(0.001)
    began = time.monotonic()
    told(handler, *(str(number) for number in range(25)))
    handler.flush(0.05)
    assert time.monotonic() - began < 5
    stream.free.set()
    handler.flush(10.0)
    lines = stream.getvalue().splitlines()
    assert lines[:11] == ["first", *(str(number) for number in range(10))]
    assert lines[11].startswith("15 log lines were dropped")
    told(handler, "later")
    handler.flush(10.0)
    assert stream.getvalue().splitlines()[12:] == ["later"]


def test_one_line_larger_than_the_queue_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "MOST_CHARACTERS", 100)
    stream = io.StringIO()
    handler = QueuedHandler(stream)
    told(handler, "x" * 101, "short")
    handler.flush(10.0)
    assert "short" in stream.getvalue()
    assert "xxx" not in stream.getvalue()


def test_lines_of_a_stream_that_fails_are_counted_once_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "_AFTER_FAILURE", 0.01)
    full = os.open("/dev/full", os.O_WRONLY)
    reader, writer = os.pipe()
    with os.fdopen(full, "w") as stream, os.fdopen(writer, "w") as working:
        handler = QueuedHandler(stream)
        told(handler, "lost")
        handler.flush(10.0)
        handler.stream = working
        told(handler, "kept")
        handler.flush(10.0)
        deadline = time.monotonic() + 10
        said = ""
        while "dropped" not in said and time.monotonic() < deadline:
            said += os.read(reader, 4096).decode()
    assert "kept" in said
    assert "1 log lines were dropped" in said
    os.close(reader)
