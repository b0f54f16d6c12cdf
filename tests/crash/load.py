"""The load: people who edit records, each waiting for its notification to be acknowledged before the next edit."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gateway.doforms.simulator import Seen, Simulator
from tests.crash.plan import LOAD_SECONDS
from tests.crash.routes import FORMS, REFUSED, SKIPPED, Form

ACKNOWLEDGED_WITHIN = 30.0
"""Seconds in which a notification must have been acknowledged, with all its repeats."""
_BEGUN_WITHIN = 5.0
_AFTERWARDS = 0.5
"""Seconds that the load goes on after the last fault."""
_EARLY = 5
"""Turns of a record before which its strict lane is never blocked."""
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
        self._over = False
        self.sent: list[Sent] = []

    async def run(self, faults: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Send until the time is over, the faults too, and all was acknowledged or never will be.

        The faults begin when the first edits have been acknowledged: on a busy machine that takes its time.
        """
        people = [
            asyncio.create_task(self._edit(form, number)) for form in FORMS.values() for number in range(form.records)
        ]
        with suppress(TimeoutError):
            await self._doforms.until(lambda: self._all_have_begun(len(people)), timeout=_BEGUN_WITHIN)
        began = time.monotonic()
        await faults()
        await asyncio.sleep(max(_AFTERWARDS, began + LOAD_SECONDS - time.monotonic()))
        self._over = True
        await asyncio.gather(*people)

    def _all_have_begun(self, people: int) -> bool:
        return len(self.sent) >= people and all(sent.acknowledged for sent in self.sent[:people])

    async def _edit(self, form: Form, number: int) -> None:
        chance = random.Random(f"{self._seed}-{form.name}-{number}")
        record, turn = f"{form.name}-{number}", 0
        await asyncio.sleep(chance.uniform(0, _PAUSE))
        while not self._over:
            turn += 1
            if not await self._send(chance, form, record, turn):
                return  # the books will tell; what came next would have no certain place behind it
            await asyncio.sleep(chance.uniform(0, _PAUSE * (1 if form.matched else 6)))

    async def _send(self, chance: random.Random, form: Form, record: str, turn: int) -> bool:
        """Send a notification of a record until it is acknowledged; tells whether it was."""
        webservice = form.webservice_id
        if webservice in self._doforms.world.webservices:
            self._doforms.put_record(webservice, record, {"seq": turn})
        key = f"{self._seed}-{record}-{turn:03}{_ending(chance, form, turn)}"
        seen = self._doforms.compose(webservice, "update", submission_key=record, key=key)
        sent = Sent(seen, form, record, turn)
        self.sent.append(sent)
        sent.posts += chance.random() < 0.15
        await asyncio.gather(*(self._post(chance, sent) for _ in range(sent.posts)))
        with suppress(TimeoutError):
            await self._doforms.until(lambda: sent.acknowledged, timeout=ACKNOWLEDGED_WITHIN)
        if chance.random() < 0.05 and sent.acknowledged:
            sent.posts += 1
            await self._post(chance, sent)
        return sent.acknowledged

    async def _post(self, chance: random.Random, sent: Sent) -> None:
        self._doforms.target = self._target(chance)
        await self._doforms.send(sent.seen)


def _ending(chance: random.Random, form: Form, turn: int) -> str:
    """Return the letter that makes a notification be refused or skipped; strict lanes are blocked late and rarely."""
    wish = chance.random()
    refused = 0.05 if form.name != "order" else 0.02 if turn > _EARLY else 0.0
    if wish < refused:
        return REFUSED
    return SKIPPED if wish > 0.9 else "n"
