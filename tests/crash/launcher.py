"""Starting gateways quickly, and with a guard switched off where a test wants to see that the books notice.

A gateway takes seconds to import on a busy machine. Here each is forked from a server that has imported it already, so
that a seed has time for several starts; what runs in it is ``gateway serve`` all the same.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.crash.routes import SILENCE
from tests.support.gateway_process import Launch, Process

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "gateway.cli.serve",
        "gateway.app",
        "gateway_database",
        "gateway_rest",
        "gateway_file",
        "psycopg",
        "tests.crash.bugs",
    ]
)
_one_at_a_time = threading.Lock()
"""Held while a process is started or asked for its exit status, which only the first who asks is told."""
_LOOK = 0.02
CLOCK = "clock-is-off-by"
"""A file beside the log: the seconds by which the machine's clock is off for the store."""


@dataclass(frozen=True, slots=True)
class _Forked:
    """A process as `subprocess.Popen` would show it."""

    process: BaseProcess

    def poll(self) -> int | None:
        with _one_at_a_time:
            return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"process {self.process.pid} did not end within {timeout:g} s")
            time.sleep(_LOOK)
        return status

    def send_signal(self, sig: int) -> None:
        assert self.process.pid is not None
        with suppress(ProcessLookupError):  # it was killed meanwhile
            os.kill(self.process.pid, sig)

    def kill(self) -> None:
        self.process.kill()


def launcher(bug: str | None = None) -> Launch:
    """Return what starts a gateway; ``bug`` switches one of its guards off (see `tests.crash.bugs`)."""
    return partial(_launch, bug)


def _launch(bug: str | None, arguments: Sequence[str], log: Path, environ: dict[str, str]) -> Process:
    log.touch()
    process = _context.Process(target=_run, args=(bug, [*arguments], str(log), environ), daemon=True)
    with _one_at_a_time:
        process.start()
    return _Forked(process)


def _run(bug: str | None, arguments: Sequence[str], log: str, environ: dict[str, str]) -> None:
    from gateway.cli import main
    from tests.crash.bugs import BUGS

    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environ)
    sys.path[:0] = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.argv = ["gateway", *arguments]
    _show_another_time(Path(log).with_name(CLOCK))
    _expect_answers_soon()
    if bug is not None:
        BUGS[bug].switch_off()
    main()


def _expect_answers_soon() -> None:
    """Have this process give a database up that does not answer, sooner than anybody would who runs it."""
    from gateway.store.engine import postgresql

    postgresql.ANSWER_WITHIN = SILENCE
    postgresql.PostgresqlDatabase.__init__.__kwdefaults__["answer_within"] = SILENCE


def _show_another_time(file: Path) -> None:
    """Have this process' clock be off by what stands in a file, if it is there."""
    right = time.time_ns

    def shown() -> int:
        try:
            return right() + int(file.read_text()) * 1_000_000_000
        except (OSError, ValueError):
            return right()

    time.time_ns = shown
