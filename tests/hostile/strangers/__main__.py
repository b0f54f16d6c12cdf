"""Do one attack for a while: ``python -m tests.hostile.strangers NAME PORT SECONDS SEED``."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import sys
from contextlib import suppress

from tests.hostile.strangers import ATTACKS, Target

_POLITE = 5
"""Lower than usual is this process' priority: attackers have machines of their own."""
_DESCRIPTORS = 4096


async def _attack(name: str, port: int, seconds: float, seed: int) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await ATTACKS[name](Target(port, random.Random(seed)))


if __name__ == "__main__":
    os.nice(_POLITE)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_DESCRIPTORS, hard), hard))
    asyncio.run(_attack(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
