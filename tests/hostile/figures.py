"""What a process takes: memory and descriptors, of it and of the processes that it started."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figures:
    """``memory`` in bytes; ``descriptors`` are those of the process itself."""

    memory: int
    descriptors: int

    def __add__(self, other: Figures) -> Figures:
        return Figures(self.memory + other.memory, self.descriptors + other.descriptors)


def measure(processes: Iterable[int]) -> Figures:
    """Return what some processes take together, by their ids; one that has ended takes nothing."""
    return sum((_of(one) for one in processes), start=Figures(0, 0))


def _of(process: int) -> Figures:
    with suppress(OSError):
        memory = sum(_memory(one) for one in (process, *_children(process)))
        return Figures(memory, len(list(Path(f"/proc/{process}/fd").iterdir())))
    return Figures(0, 0)


def _memory(process: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _children(process: int) -> Iterator[int]:
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, file.read_text().split()):
                yield child
                yield from _children(child)
