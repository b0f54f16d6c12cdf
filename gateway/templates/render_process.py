"""The process that renders what is too much for the gateway's own: bounded in time and memory by the system.

It is started as ``python -m gateway.templates.render_process``, gets tasks on standard input, each behind its length,
and answers each with a letter, a length and a text. It knows no secrets but what the templates mention, opens nothing,
and ends with the process that started it, whose end of the pipe closes then.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import sys
from typing import BinaryIO

from gateway.errors import GatewayError
from gateway.templates.rendering import Refused, unpacked, work_off

SECONDS = 5
"""Of the processor's time for one delivery."""
MEMORY = 256 * 1024 * 1024
"""Bytes that rendering may take, beside those below for each byte of the task."""
MEMORY_PER_BYTE = 10
_GROWN = 64 * 1024 * 1024
"""A process that holds so much more than at its start is replaced."""
_NICE = 5
LENGTH = struct.Struct(">cQ")
"""How each message begins: its kind, and its length in bytes."""
RENDERED, REFUSED, FAILED, TOO_LARGE = b"R", b"S", b"F", b"M"
TASK = b"T"


def main() -> None:
    """Work off tasks until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the gateway, which ends this process
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tasks, answers = sys.stdin.buffer, sys.stdout.buffer
    at_start = _pages()
    while (task := _read(tasks)) is not None:
        kind, text = _bounded(task)
        del task
        answers.write(LENGTH.pack(kind, len(text)) + text)
        answers.flush()
        if kind == TOO_LARGE or _pages() - at_start > _GROWN:
            return


def _read(source: BinaryIO) -> bytes | None:
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    _, length = LENGTH.unpack(head)
    task = source.read(length)
    return task if len(task) == length else None


def _bounded(task: bytes) -> tuple[bytes, bytes]:
    """Work off one task; the system ends the process when its time is over."""
    if (held := _pages(virtual=True)) > 0:
        _limit_memory(held + MEMORY + MEMORY_PER_BYTE * len(task))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        done = work_off(unpacked(task))
        return (REFUSED, done.reason.encode()) if isinstance(done, Refused) else (RENDERED, done.kept)
    except GatewayError as error:
        return FAILED, str(error).encode("utf-8", "replace")
    except MemoryError:
        return TOO_LARGE, b""
    except RecursionError:
        return FAILED, b"the record is nested too deep to be rendered"
    except Exception as error:  # what no template should be able to raise ends one delivery, and not this process
        return FAILED, f"rendering failed: {type(error).__name__}: {error}".encode("utf-8", "replace")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        _limit_memory(resource.RLIM_INFINITY)


def _limit_memory(most: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _pages(*, virtual: bool = False) -> int:
    """Return the bytes of memory that this process holds, or those of its whole address space; 0: nobody tells."""
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123 - without what pathlib takes
            return int(file.read().split()[0 if virtual else 1]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    main()
