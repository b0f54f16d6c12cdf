"""The processes that render what is too much for the event loop."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess  # nosec B404
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from gateway.errors import GatewayError, TemplateError
from gateway.templates.render_process import (
    FAILED,
    LENGTH,
    MEMORY,
    REFUSED,
    RENDERED,
    SECONDS,
    TASK,
    TOO_LARGE,
)
from gateway.templates.rendering import LARGEST_RENDERED, Refused, Rendered, Task, packed, work_off_here
from gateway.templates.work import TooMuchHere

PROCESSES = 2
"""Deliveries that are rendered in processes of their own at the same time."""
WAITING = 64
"""Deliveries that wait for that at most; those beyond are put off."""
WITHIN = 120.0
"""Seconds until a process that does not answer, though it has not used up its time, is given up."""
_PASSED_ON = ("PATH", "LANG", "TZ", "TZDIR", "PYTHON", "LC_", "LD_", "DYLD_", "VIRTUAL_ENV", "SYSTEMROOT")
_PIECE = 1 << 20
T = TypeVar("T")


class NotNow(GatewayError):
    """It could not be rendered now, for a reason that lies with this machine; later it can."""


class RenderProcess:
    """One process that renders; started when it is needed, and again when it ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._at_work = False
        self._lock = threading.Lock()

    def work_off(self, task: bytes, *, within: float = WITHIN) -> Refused | Rendered:
        """Judge and render; blocks.

        Raises:
            TemplateError: a template cannot be evaluated for this record, or takes too much time or memory.
            NotNow: the process gave no answer.
        """
        try:
            return self._work_off(task, within)
        finally:
            with self._lock:
                self._at_work = False

    def _work_off(self, task: bytes, within: float) -> Refused | Rendered:
        for last in (False, True):
            process = self._started()
            try:
                kind, text = _ask(process, task, time.monotonic() + within)
            except TimeoutError:
                self._end()
                raise NotNow(f"it was not rendered within {within:g} s: this machine has too much to do") from None
            except OSError:
                code = self._end()
                if self._closed:
                    raise NotNow("the gateway is being stopped") from None
                if code == -PROFILED:
                    raise TemplateError(f"it takes more than {SECONDS} s of computing") from None
                if last:
                    raise TemplateError(f"the process that rendered it ended twice, {_said(code)}") from None
            else:
                return self._told(kind, text)
        raise AssertionError("the second try ends it")

    def _told(self, kind: bytes, text: bytes) -> Refused | Rendered:
        if kind == RENDERED:
            return Rendered(None, text)
        if kind == REFUSED:
            return Refused(text.decode())
        if kind == TOO_LARGE:
            self._end()
            raise TemplateError(f"rendering it takes more than {MEMORY // 1_000_000} MB of memory")
        assert kind == FAILED, kind
        raise TemplateError(text.decode())

    def close(self) -> None:
        """End the process; who waits for it is told, and lets go of it."""
        with self._lock:
            self._closed = True
            if self._process is None:
                return
            self._process.kill()
            if not self._at_work:
                self._process.wait()
                self._discard()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise NotNow("the gateway is being stopped")
            self._at_work = True
            if self._process is None or self._process.poll() is not None:
                self._discard()
                try:
                    self._process = _start()
                except OSError as error:
                    raise NotNow(f"no process can be started to render it: {error}") from None
            return self._process

    def _end(self) -> int:
        with self._lock:
            process = self._process
            if process is None:
                return 0
            try:
                code = process.wait(0.2)  # it may be ending by itself
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            self._discard()
            return code

    def _discard(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):  # what was not written any more
                    if pipe is not None:
                        pipe.close()
            self._process = None


PROFILED = 27
"""The signal by which the system ends a process whose time is over (SIGPROF)."""


def _start() -> subprocess.Popen[bytes]:
    known = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    return subprocess.Popen(  # nosec B603
        [sys.executable, "-P", "-m", "gateway.templates.render_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=known,
        bufsize=0,
    )


def _ask(process: subprocess.Popen[bytes], task: bytes, until: float) -> tuple[bytes, bytes]:
    assert process.stdin is not None, "it was started with pipes"
    assert process.stdout is not None, "it was started with pipes"
    into, out = process.stdin.fileno(), process.stdout.fileno()
    message = memoryview(LENGTH.pack(TASK, len(task)) + task)
    os.set_blocking(into, False)
    while message:
        _await(into, select.POLLOUT, until)
        message = message[os.write(into, message[:_PIECE]) :]
    kind, length = LENGTH.unpack(_read(out, LENGTH.size, until))
    if length > LARGEST_RENDERED:
        raise OSError("no answer of ours")
    return kind, _read(out, length, until)


def _read(source: int, length: int, until: float) -> bytes:
    found = bytearray()
    while len(found) < length:
        _await(source, select.POLLIN, until)
        piece = os.read(source, min(_PIECE, length - len(found)))
        if not piece:
            raise OSError("the process has ended")
        found += piece
    return bytes(found)


def _await(file: int, wanted: int, until: float) -> None:
    looked_at = select.poll()
    looked_at.register(file, wanted)
    if not looked_at.poll(max(0.0, until - time.monotonic()) * 1000):
        raise TimeoutError


def _said(code: int) -> str:
    return f"by signal {-code}" if code < 0 else f"with exit status {code}"


def work_off_apart(task: Task) -> Refused | Rendered:
    """Judge and render in a process of its own, for a command; blocks.

    Raises:
        TemplateError: a template cannot be evaluated for this record, or takes too much time or memory.
        NotNow: the process gave no answer.
    """
    process = RenderProcess()
    try:
        return process.work_off(packed(task))
    finally:
        process.close()
        process._end()


class RenderPool:
    """Renders in processes of its own; they are started when the first one is needed."""

    def __init__(self, processes: int = PROCESSES) -> None:
        self._idle = [RenderProcess() for _ in range(processes)]
        self._all = tuple(self._idle)
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="render")
        self._waiting = 0

    async def work_off(self, task: Task, then: Callable[[Refused | Rendered], T], *, is_much: bool = True) -> T:
        """Judge and render, and call ``then`` with what came of it, all in a thread; returns what ``then`` does.

        Without ``is_much`` it is tried in this process first.

        Raises:
            TemplateError: a template cannot be evaluated for this record, or takes too much time or memory.
            NotNow: too many wait for that, or the process gave no answer.
        """
        return await self.in_thread(lambda: then(self._work_off(task, is_much=is_much)))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do what takes long, but is bounded, in one of the threads.

        Raises:
            NotNow: too many wait for that.
        """
        if self._waiting >= WAITING:
            raise NotNow(f"{WAITING} deliveries that take long to render wait already")
        self._waiting += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        running.add_done_callback(self._ended)
        return await running

    def _ended(self, running: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not running.cancelled():
            running.exception()  # looked at: whoever asked may have gone meanwhile

    def _work_off(self, task: Task, *, is_much: bool) -> Refused | Rendered:
        if not is_much:
            with suppress(TooMuchHere):
                return work_off_here(task)
        process = self._idle.pop()
        try:
            return process.work_off(packed(task))
        finally:
            self._idle.append(process)

    def close(self) -> None:
        """End the processes."""
        for process in self._all:
            process.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
