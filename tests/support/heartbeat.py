"""How long the event loop stood at most, and how much memory was taken, while something ran."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Beats:
    """What was seen up to now."""

    longest: float = 0.0
    """Seconds between two turns of the loop that were to be a hundredth apart."""
    begun_at: int = 0
    most: int = 0
    """Bytes of memory that the process held."""

    @property
    def grown(self) -> int:
        """Bytes by which the process grew."""
        return self.most - self.begun_at


@asynccontextmanager
async def heartbeat() -> AsyncIterator[Beats]:
    """Watch the loop and the memory until the block ends."""
    beats = Beats(begun_at=_resident())
    beating = asyncio.create_task(_beat(beats))
    try:
        yield beats
    finally:
        beating.cancel()


async def _beat(beats: Beats) -> None:
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.01)
        now = time.monotonic()
        beats.longest, last = max(beats.longest, now - last), now
        beats.most = max(beats.most, _resident())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
