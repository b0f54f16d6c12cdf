"""Everything that attacks are done to, and the times in which the gateway was down on purpose."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.doforms.simulator import Simulator
from tests.crash.effects import Warehouse
from tests.crash.gateways import Supervised
from tests.crash.stores import Backend
from tests.hostile.figures import Figures, measure
from tests.hostile.service import Service
from tests.hostile.traffic import LIMIT, Traffic
from tests.support.faked_clock import FakedClock


@dataclass(slots=True)
class Stage:
    """What is up while the attacks run."""

    backend: Backend
    gateways: Sequence[Supervised]
    doforms: Simulator
    service: Service
    warehouse: Warehouse
    traffic: Traffic
    routes: Path
    chance: random.Random
    clock: FakedClock
    downs: list[tuple[float, float]] = field(default_factory=list)
    """When a gateway was down, or its database, because the run wanted it so; by `time.monotonic`."""
    leaps: list[float] = field(default_factory=list)
    """When the clock of a gateway leapt, by `time.monotonic`: its leases can lapse then."""
    number: int = 0
    """Of the attacking notifications so far."""

    def gateway(self) -> Supervised:
        """Return one of the gateways."""
        return self.chance.choice(self.gateways)

    def figures(self) -> Figures:
        """Return what the gateways take now."""
        return measure(one.process.process.pid for one in self.gateways if one.process.process is not None)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Note that a gateway is down until the block ends: its good answers may be late."""
        began = time.monotonic()
        self.downs.append((began, float("inf")))
        try:
            yield
        finally:
            self.downs.remove((began, float("inf")))
            self.downs.append((began, time.monotonic()))

    def leap(self, by: str) -> None:
        """Set the clock of the gateways off by so much."""
        self.clock.is_off_by(by)
        self.leaps.append(time.monotonic())

    def was_down(self, began: float, ended: float) -> bool:
        """Tell whether an answer asked for and given then met a gateway that was down, or had just come back."""
        return any(first <= ended and began <= last + LIMIT for first, last in self.downs)
