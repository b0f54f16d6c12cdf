"""Doing to a running stage what the plan says."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from gateway.doforms.simulator import Simulator
from tests.crash.effects import Warehouse
from tests.crash.gateways import Supervised
from tests.crash.launcher import CLOCK
from tests.crash.plan import Fault, Kind
from tests.crash.routes import ATTEMPTS, other_settings, replace_text, with_a_mistake, with_a_rest
from tests.crash.service import Mood, Service
from tests.crash.stores import Backend, Place, fill


@dataclass(frozen=True, slots=True)
class Done:
    """A fault that was done, from when to when by `time.monotonic`."""

    fault: Fault
    began: float
    ended: float


@dataclass(slots=True)
class Stage:
    """Everything that faults can be done to."""

    backend: Backend
    place: Place
    gateways: Sequence[Supervised]
    doforms: Simulator
    service: Service
    warehouse: Warehouse
    chance: random.Random
    routes: Path
    done: list[Done] = field(default_factory=list)
    reloading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the routes file is another one."""
    restarting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the database server is down or stands still."""

    async def play(self, faults: Sequence[Fault]) -> None:
        """Do the faults at their times."""
        began = time.monotonic()
        await asyncio.gather(*(self._do(fault, began + fault.at) for fault in faults))
        self.done.sort(key=lambda one: one.began)

    async def _do(self, fault: Fault, at: float) -> None:
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        began = time.monotonic()
        await _DO[fault.kind](self, fault)
        self.done.append(Done(fault, began, time.monotonic()))

    def gateway(self, fault: Fault) -> Supervised:
        """Return the gateway that a fault hits."""
        return self.gateways[fault.process % len(self.gateways)]


_MOODS = {
    Kind.SERVICE_DOWN: Mood.DOWN,
    Kind.SERVICE_BUSY: Mood.BUSY,
    Kind.SERVICE_SLOW: Mood.SLOW,
    Kind.SERVICE_ODD: Mood.ODD,
    Kind.SERVICE_CUT: Mood.CUT,
}


async def _service(stage: Stage, fault: Fault) -> None:
    stage.service.mood = _MOODS[fault.kind]
    await asyncio.sleep(fault.lasts)
    stage.service.mood = Mood.WELL


async def _api(stage: Stage, fault: Fault) -> None:
    for _ in range(round(fault.lasts * 10)):
        if fault.kind is Kind.API_429:
            stage.doforms.faults.add(status=429, headers={"Retry-After": "1"}, times=2)
        elif fault.kind is Kind.API_5XX:
            stage.doforms.faults.add(status=stage.chance.choice((500, 502, 503)), times=4)
        else:
            stage.doforms.faults.add(status=None, delay=stage.chance.uniform(0.1, 0.8), times=3)
        await asyncio.sleep(0.1)
    stage.doforms.faults.clear()


async def _reload(stage: Stage, fault: Fault) -> None:
    file, gateway = stage.routes, stage.gateway(fault)
    async with stage.reloading:
        before, change = file.read_text(), stage.chance.choice((other_settings, with_a_rest, with_a_mistake))
        async with AsyncExitStack() as held:
            # None is started meanwhile with a mistake in its file: it would not start, and rightly so.
            for one in stage.gateways if change is with_a_mistake else ():
                await held.enter_async_context(one.busy)
            await _load(gateway, file, change(before), held=change is with_a_mistake)
            await asyncio.sleep(fault.lasts)
            await _load(gateway, file, before, held=change is with_a_mistake)


async def _load(gateway: Supervised, file: Path, text: str, *, held: bool) -> None:
    async with nullcontext() if held else gateway.busy:
        replace_text(file, text)
        gateway.signal(signal.SIGHUP)


async def _disk_full(stage: Stage, fault: Fault) -> None:
    assert stage.place.disk is not None
    filler = await asyncio.to_thread(fill, stage.place.disk)
    await asyncio.sleep(fault.lasts)
    filler.unlink(missing_ok=True)  # two may fill it at once


async def _deadly_record(stage: Stage, fault: Fault) -> None:
    """Have a record kill whoever sends it, and wait until it has been tried as often as it should be."""
    stage.service.deadly_next = True
    for _ in range(round(fault.lasts / 0.1)):
        if sum(stage.service.deadly.values()) >= ATTEMPTS:
            break
        await asyncio.sleep(0.1)
    stage.service.deadly_next = False
    await asyncio.sleep(1.0)  # the last death has been noticed


async def _database_restart(stage: Stage, fault: Fault) -> None:
    async with stage.restarting:
        await asyncio.to_thread(stage.backend.restart)


async def _database_silent(stage: Stage, fault: Fault) -> None:
    async with stage.restarting:
        with stage.backend.silent():
            await asyncio.sleep(fault.lasts)


_LEAPS = (-30 * 86400, -3600, -60, 3600, 30 * 86400)
"""Seconds."""


async def _clock_leap(stage: Stage, fault: Fault) -> None:
    file = stage.routes.with_name(CLOCK)
    replace_text(file, str(stage.chance.choice(_LEAPS)))
    await asyncio.sleep(fault.lasts)
    replace_text(file, "0")


_DO: Mapping[Kind, Callable[[Stage, Fault], Awaitable[None]]] = {
    **dict.fromkeys(_MOODS, _service),
    **dict.fromkeys((Kind.API_429, Kind.API_5XX, Kind.API_SLOW), _api),
    Kind.KILL: lambda stage, fault: stage.gateway(fault).kill(fault.lasts),
    Kind.STOP: lambda stage, fault: stage.gateway(fault).freeze(fault.lasts),
    Kind.SHUTDOWN: lambda stage, fault: stage.gateway(fault).shut_down(fault.lasts),
    Kind.TABLES_LOCKED: lambda stage, fault: stage.warehouse.lock(fault.lasts),
    Kind.RELOAD: _reload,
    Kind.DISK_FULL: _disk_full,
    Kind.DEADLY_RECORD: _deadly_record,
    Kind.DATABASE_RESTART: _database_restart,
    Kind.DATABASE_SILENT: _database_silent,
    Kind.CLOCK_LEAP: _clock_leap,
}
