"""Plays a scenario on a simulator: makes the records, keeps the pace, sends what happens to them."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from dataclasses import dataclass
from functools import partial
from random import Random

from gateway.doforms.simulator.forms import Form
from gateway.doforms.simulator.scenarios import Scenario, Step
from gateway.doforms.simulator.simulator import Simulator
from gateway.doforms.simulator.world import Webservice

_AT_ONCE = 64
"""Notifications under way: doForms' own number is not known, and more would only wait in this program."""


@dataclass(slots=True)
class _Record:
    webservice: str
    form: Form
    number: int
    key: str
    dispatch_key: str
    version: int = 0


class Player:
    """Plays a scenario once; the same seed makes the same records, under the same keys.

    ``records`` and ``every`` (seconds) replace the scenario's own.
    """

    def __init__(
        self,
        simulator: Simulator,
        scenario: Scenario,
        *,
        seed: int = 0,
        records: int | None = None,
        every: float | None = None,
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.records = scenario.records if records is None else records
        self.every = scenario.every if every is None else every
        self._simulator = simulator
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def play(self) -> None:
        """Bring about the conditions and faults, and let everything happen; returns when the last record has ended.

        The simulator keeps the pace whatever the answers take: doForms does not wait for one to send the next.
        """
        self._simulator.conditions.change(**self.scenario.conditions)
        for fault in self.scenario.faults:
            self._simulator.faults.add(**fault)
        webservices = list(self._simulator.world.webservices.values())
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as lives:
            for number in itertools.count() if self.records is None else range(self.records):
                await asyncio.sleep(max(0.0, began + number * self.every - loop.time()))
                async with self._slots:  # none is begun while all slots are taken, so that few wait
                    pass
                lives.create_task(self._live(self._record(webservices[number % len(webservices)], number)))

    def _record(self, webservice: Webservice, number: int) -> _Record:
        forms = {form.name.casefold(): form for form in self.scenario.forms}
        form = forms.get(webservice.form.casefold(), self.scenario.forms[0])
        return _Record(webservice.id, form, number, self._key("submission", number), self._key("dispatch", number))

    def _key(self, kind: str, number: int) -> str:
        return hashlib.sha256(f"{self.seed}/{kind}/{number}".encode()).hexdigest()[:20]

    async def _live(self, record: _Record) -> None:
        for step in self.scenario.life(Random(f"{self.seed}/life/{record.number}")):  # nosec B311
            await asyncio.sleep(step.after)
            async with self._slots:
                await self._take(record, step)

    async def _take(self, record: _Record, step: Step) -> None:
        doforms, webservice = self._simulator, record.webservice
        if step.what == "status":
            self._keep(record, "dispatch")
            await doforms.notify(webservice, "status", dispatch_key=record.dispatch_key)
            record.version += 1
        elif step.what == "submit":
            self._keep(record, "submission")
            await doforms.notify(webservice, "create", submission_key=record.key, dispatch_key=record.dispatch_key)
        elif step.what == "delete":
            await doforms.delete(webservice, record.key)
        else:
            record.version += step.what == "update"
            self._keep(record, "submission")
            await doforms.notify(webservice, step.what, submission_key=record.key)

    def _keep(self, record: _Record, kind: str) -> None:
        make = partial(record.form.make, self.seed, record.number, record.version, kind=kind)
        key = record.dispatch_key if kind == "dispatch" else record.key
        sample = make()
        for photo in sample.photos:
            content = photo.size, photo.seed
            self._simulator.put_blob(record.webservice, photo.key, content, type=photo.type, file_name=photo.file_name)
        self._simulator.world.keep(
            record.webservice,
            key,
            lambda: make().fields,
            kind=kind,
            id=str(int(key[:12], 16)),
            wrapped=sample.wrapped,
        )
