"""Sending notifications as doForms does: three seconds, then again with the same key after a 5xx or silence.

By the conditions some are lost on their way, some come twice, and some late.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import httpx

from gateway.doforms.simulator.conditions import Conditions
from gateway.doforms.simulator.notifications import Answer, Seen, Watch


class Sender:
    """Posts notifications and repeats them."""

    def __init__(
        self, *, answer_limit: float, repeat_after: Sequence[float], watch: Watch, conditions: Conditions
    ) -> None:
        self._limit = answer_limit
        self._repeat_after = repeat_after
        self._watch = watch
        self._conditions = conditions
        self._chance = random.Random(0)  # nosec B311
        self._http = httpx.AsyncClient(  # nosec B113
            timeout=None, trust_env=False, limits=httpx.Limits(max_connections=200, max_keepalive_connections=50)
        )
        self._background: set[asyncio.Task[Any]] = set()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post once."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._limit):
                answer = await self._http.post(
                    url, content=body, headers={"Content-Type": "application/json", **headers}
                )
        except TimeoutError:
            return Answer(None, b"", time.monotonic() - started, error=f"no answer within {self._limit:g} s")
        except httpx.HTTPError as error:
            return Answer(None, b"", time.monotonic() - started, error=f"{type(error).__name__}: {error}")
        return Answer(answer.status_code, answer.content, time.monotonic() - started, dict(answer.headers))

    async def send(self, seen: Seen, url: str, headers: Mapping[str, str]) -> Answer:
        """Post a notification; repeats go on in the background.

        One that is lost or late is answered by nobody, and that answer is not noted.
        """
        if self._happens(self._conditions.lost):
            seen.lost = True
            self._watch.tell("lost", seen)
            return Answer(None, b"", 0.0, error="it was lost on its way")
        if self._happens(self._conditions.late):
            self._later(self._send_late(seen, url, headers, self._conditions.late_by))
            return Answer(None, b"", 0.0, error=f"it is sent {self._conditions.late_by:g} s late")
        if self._happens(self._conditions.twice):
            self._later(self._send(seen, url, headers))
        return await self._send(seen, url, headers)

    def _happens(self, share: float) -> bool:
        return share > 0 and self._chance.random() < share

    def _later(self, coroutine: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _send_late(self, seen: Seen, url: str, headers: Mapping[str, str], wait: float) -> None:
        await asyncio.sleep(wait)
        await self._send(seen, url, headers)

    async def _send(self, seen: Seen, url: str, headers: Mapping[str, str]) -> Answer:
        answer = await self._send_once(seen, url, headers)
        if answer.repeats:
            self._later(self._repeat(seen, url, headers))
        return answer

    async def _send_once(self, seen: Seen, url: str, headers: Mapping[str, str]) -> Answer:
        self._watch.tell("sent", seen)
        answer = await self.post(url, seen.body, headers)
        seen.hear(answer)
        self._watch.tell("answered", seen)
        return answer

    async def _repeat(self, seen: Seen, url: str, headers: Mapping[str, str]) -> None:
        # A PUT in between does not end it: a POST is repeated until that POST is answered.
        for wait in self._repeat_after:
            await asyncio.sleep(wait)
            answer = await self._send_once(seen, url, headers)
            if not answer.repeats:
                return

    async def close(self) -> None:
        """Stop repeating, and send nothing late any more."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._http.aclose()
