"""One seed: put everything up, send the load while the faults come, wait until the work is done, read the evidence."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.doforms.simulator import Simulator
from gateway.models import DeliveryState, ReportState
from tests.crash.books import audit, deliveries_add_up
from tests.crash.effects import Warehouse
from tests.crash.evidence import (
    Evidence,
    KeptNotification,
    read_effects,
    read_inconsistencies,
    read_lapses,
    read_store,
)
from tests.crash.faults import Stage
from tests.crash.gateways import Supervised, supervised
from tests.crash.load import Load
from tests.crash.plan import Fault, Kind, plan
from tests.crash.routes import FORMS, HEADERS, PASSWORD, text
from tests.crash.service import Service
from tests.crash.stores import Backend, Place

DONE_WITHIN = 18.0
"""Seconds after the load in which everything must be settled and reported. An outcome whose request died with its
gateway waits 10 s for the mark of an answer, before the PUT tells it."""
_LOOK = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a seed."""

    seed: int
    faults: Sequence[Fault]
    found: Mapping[str, Sequence[str]]
    """What is wrong, by invariant."""
    notifications: int
    deliveries: int
    acknowledgements: int
    seconds: float
    folder: Path
    """Where the logs are."""

    @property
    def clean(self) -> bool:
        """Whether every invariant held."""
        return not any(self.found.values())


async def run_seed(
    seed: int,
    backend: Backend,
    folder: Path,
    *,
    processes: int = 1,
    only: Collection[Kind] | None = None,
    bug: str | None = None,
) -> Verdict:
    """Run a seed; ``only`` restricts the faults, ``bug`` switches a guard of the gateway off."""
    began = time.monotonic()
    faults = plan(seed, backend.kinds if only is None else {*only} & {*backend.kinds}, processes=processes)
    _make(folder / "files")
    with backend.place(folder, f"{backend.name}_{seed}_{began:.0f}") as place:
        evidence = await _play(seed, faults, backend, place, folder, processes=processes, bug=bug)
    return Verdict(
        seed=seed,
        faults=faults,
        found=audit(evidence),
        notifications=len(evidence.kept),
        deliveries=len(evidence.deliveries),
        acknowledgements=sum(len(sent.seen.answers) for sent in evidence.sent),
        seconds=time.monotonic() - began,
        folder=folder,
    )


async def _play(
    seed: int,
    faults: Sequence[Fault],
    backend: Backend,
    place: Place,
    folder: Path,
    *,
    processes: int,
    bug: str | None,
) -> Evidence:
    warehouse = Warehouse(place.effects)
    doforms = Simulator(headers=HEADERS, repeat_after=[0.3] * 60)
    for form in FORMS.values():
        if form.name != "stranger":
            doforms.add_webservice(form.webservice_id, PASSWORD)
    service = Service(random.Random(f"{seed}-service"))
    async with doforms.serving(), service.serve():
        routes = folder / "routes.toml"
        routes.write_text(
            text(
                store=place.store,
                api=doforms.api,
                effects=place.effects,
                service=service.url,
                folder=str(folder / "files"),
            )
        )
        async with _running(routes, processes, bug) as gateways:
            chance = random.Random(f"{seed}-faults")
            stage = Stage(backend, place, gateways, doforms, service, warehouse, chance, routes)
            service.kill = lambda number: gateways[number].slay()
            load = Load(seed, doforms, lambda chance: chance.choice(gateways).process.url)
            await load.run(lambda: stage.play(faults))
            await _until_done(place.store)
            await asyncio.gather(*(one.stop() for one in gateways))
    kept, held = read_store(place.store)
    inconsistencies = read_inconsistencies(place.store)
    effects = read_effects(warehouse, folder / "files")
    warehouse.close()
    return Evidence(
        sent=load.sent,
        kept=kept,
        held_lanes=held,
        inconsistencies=inconsistencies,
        **effects,
        calls=list(service.calls.values()),
        keyless=service.keyless,
        deadly=service.deadly,
        done=stage.done,
        lapses=read_lapses(one.process.log_file for one in gateways),
        unasked=[text for one in gateways for text in one.unasked],
    )


def _make(folder: Path) -> None:
    folder.mkdir(parents=True)


@asynccontextmanager
async def _running(routes: Path, processes: int, bug: str | None) -> AsyncIterator[Sequence[Supervised]]:
    gateways = [supervised(routes, number, bug=bug) for number in range(processes)]
    try:
        await asyncio.gather(*(one.start() for one in gateways))
        yield gateways
    finally:
        for one in gateways:
            one.end()


async def _until_done(store: str) -> None:
    """Wait until nothing is underway that could go on by itself; what is still underway then, the books will find."""
    end = time.monotonic() + DONE_WITHIN
    while time.monotonic() < end:
        kept, _ = await asyncio.to_thread(read_store, store)
        if not any(deliveries_add_up(Evidence(kept=kept))) and not any(map(_is_underway, kept)):
            return
        await asyncio.sleep(_LOOK)


def _is_underway(one: KeptNotification) -> bool:
    if one.outcome is not None:
        return one.report_state in (ReportState.OPEN, ReportState.DUE)
    return one.matched and all(delivery.state is not DeliveryState.PENDING for delivery in one.deliveries)
