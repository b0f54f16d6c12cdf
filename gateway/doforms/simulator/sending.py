"""Sending notifications as doForms does: three seconds, then again with the same key after a 5xx or silence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import httpx

from gateway.doforms.simulator.notifications import Answer, Seen, Watch


class Sender:
    """Posts notifications and repeats them."""

    def __init__(self, *, answer_limit: float, repeat_after: Sequence[float], watch: Watch) -> None:
        self._limit = answer_limit
        self._repeat_after = repeat_after
        self._watch = watch
        self._http = httpx.AsyncClient(
            timeout=None, trust_env=False, limits=httpx.Limits(max_connections=200, max_keepalive_connections=50)
        )
        self._repeating: set[asyncio.Task[None]] = set()

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
        """Post a notification; repeats go on in the background."""
        answer = await self._send_once(seen, url, headers)
        if answer.repeats:
            task = asyncio.create_task(self._repeat(seen, url, headers))
            self._repeating.add(task)
            task.add_done_callback(self._repeating.discard)
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
        """Stop repeating."""
        for task in self._repeating:
            task.cancel()
        await asyncio.gather(*self._repeating, return_exceptions=True)
        await self._http.aclose()
