"""The good traffic: 20 notifications a second, each on a connection of its own, and how each was answered."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gateway.doforms.simulator import Answer, Seen, Simulator
from tests.crash.load import Sent
from tests.crash.routes import FORMS, REFUSED, SKIPPED, Form

A_SECOND = 20
LIMIT = 3.0
"""Seconds in which doForms wants its answer."""
GOOD = "good-"
"""How the keys of the good notifications begin."""
_SHARE_REFUSED = 0.02
_SHARE_SKIPPED = 0.1


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer to a good notification; ``at`` is when it ended, by `time.monotonic`."""

    at: float
    answer: Answer

    @property
    def began(self) -> float:
        """When it was asked for."""
        return self.at - self.answer.seconds

    @property
    def is_late(self) -> bool:
        """Whether doForms gave up waiting."""
        return self.answer.seconds >= LIMIT


class Traffic:
    """Sends notifications of records in turns: of each the next one once the one before was acknowledged."""

    def __init__(self, seed: int, doforms: Simulator, target: Callable[[], str]) -> None:
        self._chance = random.Random(f"{seed}-traffic")
        self._doforms = doforms
        self._target = target
        self._turns: dict[tuple[str, int], int] = {
            (form.name, n): 0 for form in FORMS.values() for n in range(form.records)
        }
        self._last: dict[tuple[str, int], Sent] = {}
        self._sending: set[asyncio.Task[object]] = set()
        self.sent: list[Sent] = []
        self.answered: list[Answered] = []
        doforms.listen(self._hear)

    def _hear(self, what: str, seen: Seen) -> None:
        if what == "answered" and seen.key.startswith(GOOD):
            self.answered.append(Answered(time.monotonic(), seen.answers[-1]))

    async def go_on(self) -> None:
        """Send until cancelled."""
        began, count = time.monotonic(), 0
        while True:
            count += 1
            await asyncio.sleep(max(0.0, began + count / A_SECOND - time.monotonic()))
            free = [place for place in self._turns if place not in self._last or self._last[place].acknowledged]
            if free:
                task = asyncio.create_task(self._send(*self._chance.choice(free)))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    async def acknowledged(self, within: float) -> None:
        """Wait until all was acknowledged; what was not, the books will tell."""
        with suppress(TimeoutError):
            await self._doforms.until(lambda: all(sent.acknowledged for sent in self._last.values()), timeout=within)
        await asyncio.gather(*self._sending)

    async def _send(self, name: str, number: int) -> None:
        form, record = FORMS[name], f"{name}-{number}"
        self._turns[name, number] += 1
        turn = self._turns[name, number]
        if form.webservice_id in self._doforms.world.webservices:
            self._doforms.put_record(form.webservice_id, record, {"seq": turn})
        key = f"{GOOD}{record}-{turn:06}{self._ending(form)}"
        seen = self._doforms.compose(form.webservice_id, "update", submission_key=record, key=key)
        self._last[name, number] = sent = Sent(seen, form, record, turn)
        self.sent.append(sent)
        self._doforms.target = self._target()
        await self._doforms.send(seen)

    def _ending(self, form: Form) -> str:
        wish = self._chance.random()
        if wish < _SHARE_REFUSED and form.name != "order":  # a refused one would block a strict lane for good
            return REFUSED
        return SKIPPED if wish > 1 - _SHARE_SKIPPED else "n"


def between(answered: Sequence[Answered], began: float, ended: float) -> Sequence[Answered]:
    """Return those that were asked for in a time."""
    return [one for one in answered if began <= one.began < ended]
