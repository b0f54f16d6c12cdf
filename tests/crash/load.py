"""The load: people who edit records, each waiting for its notification to be acknowledged before the next edit."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gateway.doforms.simulator import Seen, Simulator
from tests.crash.plan import LOAD_SECONDS
from tests.crash.routes import FORMS, REFUSED, SKIPPED, Form

ACKNOWLEDGED_WITHIN = 9.0
"""Seconds after the load in which everything must have been acknowledged."""
_PAUSE = 0.25


@dataclass(slots=True)
class Sent:
    """A notification that was sent; ``turn`` counts those of its record, each sent after the one before was taken."""

    seen: Seen
    form: Form
    record: str
    turn: int
    posts: int = 1
    """How often it was sent by order; doForms' own repeats come on top."""

    @property
    def key(self) -> str:
        """Its notification key."""
        return self.seen.key

    @property
    def acknowledged(self) -> bool:
        """Whether some answer was a 2xx."""
        return any(answer.status is not None and 200 <= answer.status < 300 for answer in self.seen.answers)

    @property
    def repeated(self) -> bool:
        """Whether it was sent more than once, or an answer was lost."""
        return self.posts > 1 or len(self.seen.answers) > 1 or any(one.repeats for one in self.seen.answers)


class Load:
    """Sends notifications for a while; ``target`` chooses the gateway that each goes to."""

    def __init__(self, seed: int, doforms: Simulator, target: Callable[[random.Random], str]) -> None:
        self._seed = seed
        self._doforms = doforms
        self._target = target
        self.sent: list[Sent] = []

    async def run(self) -> None:
        """Send until the time is over and everything sent was acknowledged, or never will be."""
        end = time.monotonic() + LOAD_SECONDS
        people = [self._edit(form, number, end) for form in FORMS.values() for number in range(form.records)]
        await asyncio.gather(*people)

    async def _edit(self, form: Form, number: int, end: float) -> None:
        chance = random.Random(f"{self._seed}-{form.name}-{number}")
        record, turn = f"{form.name}-{number}", 0
        await asyncio.sleep(chance.uniform(0, _PAUSE))
        while time.monotonic() < end:
            turn += 1
            await self._send(chance, form, record, turn, end)
            await asyncio.sleep(chance.uniform(0, _PAUSE * (1 if form.matched else 6)))

    async def _send(self, chance: random.Random, form: Form, record: str, turn: int, end: float) -> None:
        webservice = form.webservice_id
        if webservice in self._doforms.world.webservices:
            self._doforms.put_record(webservice, record, {"seq": turn})
        key = f"{self._seed}-{record}-{turn:03}{_ending(chance, form, end)}"
        seen = self._doforms.compose(webservice, "update", submission_key=record, key=key)
        sent = Sent(seen, form, record, turn)
        self.sent.append(sent)
        sent.posts += chance.random() < 0.15
        await asyncio.gather(*(self._post(chance, sent) for _ in range(sent.posts)))
        with suppress(TimeoutError):  # the books will tell
            await self._doforms.until(lambda: sent.acknowledged, timeout=end + ACKNOWLEDGED_WITHIN - time.monotonic())
        if chance.random() < 0.05 and sent.acknowledged:
            sent.posts += 1
            await self._post(chance, sent)

    async def _post(self, chance: random.Random, sent: Sent) -> None:
        self._doforms.target = self._target(chance)
        await self._doforms.send(sent.seen)


def _ending(chance: random.Random, form: Form, end: float) -> str:
    """Return the letter that makes a notification be refused or skipped; strict lanes are blocked late and rarely."""
    wish = chance.random()
    late = time.monotonic() > end - LOAD_SECONDS / 3
    if wish < (0.05 if form.name != "order" else 0.02 if late else 0.0):
        return REFUSED
    return SKIPPED if wish > 0.9 else "n"
