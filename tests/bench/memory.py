"""How much memory a gateway takes."""

from __future__ import annotations

import time
from pathlib import Path

from tests.bench import seed
from tests.bench.running import gateway

_WAITING = 100_000
_SETTLES = 5.0
"""Seconds after which a gateway has claimed what it will."""


def show_memory(folder: Path) -> None:
    """Print resident memory: idle, with a backlog that waits, and after that backlog has been delivered."""
    print("\nResident memory")
    with gateway(folder / "idle") as idle:
        time.sleep(_SETTLES)
        print(f"  {'idle':52}{idle.resident_mb:9.0f} MB")
    with gateway(
        folder / "backlog",
        enabled=False,
        fill=lambda connection: seed.waiting(connection, _WAITING, route="bench", destination="table"),
    ) as waits:
        time.sleep(_SETTLES)
        print(f"  {f'{_WAITING:,} deliveries wait':52}{waits.resident_mb:9.0f} MB")
    with gateway(
        folder / "working",
        fill=lambda connection: seed.waiting(connection, _WAITING // 5, route="bench", destination="table"),
    ) as works:
        works.wait_until_ended("table", _WAITING // 5)
        print(f"  {f'{_WAITING // 5:,} deliveries later':52}{works.resident_mb:9.0f} MB")
