"""One run: put everything up, attack by attack and then several together, wait until the work is done, judge."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.doforms.simulator import Simulator
from tests.crash.books import audit
from tests.crash.effects import Warehouse
from tests.crash.gateways import Supervised
from tests.crash.routes import FORMS, replace_text
from tests.crash.stores import Backend, Place
from tests.hostile.evidence import gather, is_done
from tests.hostile.figures import Figures
from tests.hostile.insiders import EVERYWHERE, WITH_A_FILE, WITH_A_SERVER
from tests.hostile.plugin import write_package
from tests.hostile.routes import ENVIRON, HEADERS, HEAVY_ID, ODD_ID, OTHER_ID, PASSWORD, text
from tests.hostile.service import Service
from tests.hostile.stage import Stage
from tests.hostile.strangers import ATTACKS
from tests.hostile.traffic import Answered, Traffic, between
from tests.support.faked_clock import faked_clock
from tests.support.gateway_process import GatewayProcess

QUIET = "nothing (warming up)"
_ROOT = Path(__file__).parents[2]
_SHARE_ALONE = 0.6
"""Of the time, for the attacks one after another; the rest is for several together."""
_WARM_UP = 0.05
_BREATH = 2.0
"""Seconds between two attacks."""
_AT_ONCE = 4
_DONE_WITHIN = 180.0
_LOOK = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one attack, or several together, did to the good traffic and to the gateways."""

    attack: str
    good: Sequence[Answered]
    late: int
    """Good answers that took over 3 s, while nothing was down on purpose."""
    before: Figures
    most: Figures
    after: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a run."""

    rows: Sequence[Row]
    found: Mapping[str, Sequence[str]]
    """What is wrong in the books, by invariant."""
    notifications: int
    deliveries: int
    seconds: float


async def run(
    seed: int,
    backend: Backend,
    folder: Path,
    *,
    seconds: float,
    processes: int,
    only: Sequence[str] | None = None,
    saw: Callable[[Row], None] = lambda _: None,
) -> Result:
    """Attack for so many seconds; ``only`` chooses attacks by their names, ``saw`` is called with each row."""
    began = time.monotonic()
    (folder / "files").mkdir(parents=True)
    write_package(folder / "site")
    with _placed(backend, folder, f"hostile_{seed}_{began:.0f}") as place:
        async with _staged(seed, backend, place, folder, processes) as stage:
            rows = await _attack(stage, seed, seconds, only or names(backend), saw)
            await stage.traffic.acknowledged(_DONE_WITHIN)
            await _until(lambda: is_done(place.store))
            await asyncio.gather(*(one.stop() for one in stage.gateways))
            evidence = gather(stage, place, folder)
            stage.warehouse.close()
    return Result(
        rows=rows,
        found=audit(evidence),
        notifications=len(evidence.kept),
        deliveries=len(evidence.deliveries),
        seconds=time.monotonic() - began,
    )


@contextmanager
def _placed(backend: Backend, folder: Path, name: str) -> Iterator[Place]:
    """Make a place; an SQLite file on the disk of this machine, not on a small one that is to be filled."""
    if backend.name == "sqlite":
        yield Place(f"sqlite:///{folder}/gateway.db", f"sqlite:///{folder}/effects.db")
        return
    with backend.place(folder, name) as place:
        yield place


def names(backend: Backend) -> list[str]:
    """Return the names of the attacks that a store allows."""
    return [*ATTACKS, *EVERYWHERE, *(WITH_A_SERVER if backend.name == "postgresql" else WITH_A_FILE)]


@asynccontextmanager
async def _staged(seed: int, backend: Backend, place: Place, folder: Path, processes: int) -> AsyncIterator[Stage]:
    doforms = Simulator(headers={**HEADERS, "Connection": "close"}, repeat_after=[0.3] * 600)
    for id_ in (
        *(form.webservice_id for form in FORMS.values() if form.name != "stranger"),
        HEAVY_ID,
        ODD_ID,
        OTHER_ID,
    ):
        doforms.add_webservice(id_, PASSWORD)
    service, chance = Service(), random.Random(f"{seed}-stage")
    routes = folder / "routes.toml"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(doforms.serving())
        await stack.enter_async_context(service.serve())
        given = {"store": place.store, "api": doforms.api, "effects": place.effects, "service": service.url}
        replace_text(routes, text(**given, folder=str(folder / "files")))
        warehouse = Warehouse(place.effects)
        gateways = await stack.enter_async_context(_gateways(routes, processes))
        traffic = Traffic(seed, doforms, lambda: chance.choice(gateways).process.url)
        clock = faked_clock(folder, seen_within=1)
        yield Stage(backend, gateways, doforms, service, warehouse, traffic, routes, chance, clock)


@asynccontextmanager
async def _gateways(routes: Path, processes: int) -> AsyncIterator[Sequence[Supervised]]:
    path = os.pathsep.join((str(routes.with_name("site")), str(_ROOT)))
    environ = {**ENVIRON, "PYTHONPATH": path, "GATEWAY_NUMBER": "0"}
    made = [
        Supervised(GatewayProcess(routes, environ=environ, log_name=f"gateway-{number}.log"))
        for number in range(processes)
    ]
    try:
        await asyncio.gather(*(one.start() for one in made))
        yield made
    finally:
        for one in made:
            one.end()


async def _attack(
    stage: Stage, seed: int, seconds: float, only: Sequence[str], saw: Callable[[Row], None]
) -> list[Row]:
    rows: list[Row] = []

    async def do(attacks: Sequence[str], seconds: float) -> None:
        rows.append(await _do(stage, seed, attacks, seconds))
        saw(rows[-1])

    going = asyncio.create_task(stage.traffic.go_on())
    await do([], seconds * _WARM_UP)
    each = max(1.0, seconds * _SHARE_ALONE / len(only) - _BREATH)
    for name in only:
        await do([name], each)
        await asyncio.sleep(_BREATH)
    end = time.monotonic() + seconds * (1 - _SHARE_ALONE - 2 * _WARM_UP)
    while len(only) > 1 and time.monotonic() < end:
        together = stage.chance.sample(only, min(_AT_ONCE, len(only)))
        await do(together, each)
    await asyncio.sleep(_BREATH)
    await do([], seconds * _WARM_UP)
    going.cancel()
    return rows


async def _do(stage: Stage, seed: int, attacks: Sequence[str], seconds: float) -> Row:
    before, most, began = stage.figures(), Figures(0, 0), time.monotonic()
    doing = [asyncio.create_task(_one(stage, seed, name, seconds)) for name in attacks]
    while (left := began + seconds - time.monotonic()) > 0:
        await asyncio.sleep(min(_LOOK, left))
        now = stage.figures()
        most = Figures(max(most.memory, now.memory), max(most.descriptors, now.descriptors))
    for one in doing:
        one.cancel()
    ends = await asyncio.gather(*doing, return_exceptions=True)
    for error in ends:
        if isinstance(error, Exception):
            raise error
    await asyncio.sleep(_BREATH)
    good = between(stage.traffic.answered, began, time.monotonic())
    late = [one for one in good if one.is_late and not stage.was_down(one.began, one.at)]
    return Row(
        attack=" + ".join(attacks) or QUIET, good=good, late=len(late), before=before, most=most, after=stage.figures()
    )


async def _one(stage: Stage, seed: int, name: str, seconds: float) -> None:
    insider = {**EVERYWHERE, **WITH_A_SERVER, **WITH_A_FILE}.get(name)
    if insider is not None:
        await insider(stage)
        return
    port = stage.gateway().process.port
    command = (sys.executable, "-m", "tests.hostile.strangers", name, str(port), f"{seconds:g}", str(seed))
    process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT)
    try:
        status = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if status != 0:
        raise RuntimeError(f"the attackers of {name!r} ended with exit status {status}")


async def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + _DONE_WITHIN
    while time.monotonic() < end and not await asyncio.to_thread(true):  # noqa: ASYNC110 - the store tells nobody
        await asyncio.sleep(_LOOK)
