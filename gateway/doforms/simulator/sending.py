"""Sending notifications as doForms does: three seconds, then again with the same key after a 5xx or silence."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx

_FINAL = ("completed", "failed")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one POST; ``status`` is None if nothing came in time."""

    status: int | None
    body: bytes
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def repeats(self) -> bool:
        """Whether doForms sends the notification again."""
        return self.status is None or self.status >= 500

    @property
    def final(self) -> str | None:
        """The final status that the body holds, if any."""
        if self.status is None or not 200 <= self.status < 300:
            return None if self.repeats else "failed"
        try:
            status = json.loads(self.body).get("status")
        except (ValueError, AttributeError):
            return None
        return status if status in _FINAL else None


@dataclass(slots=True)
class Seen:
    """A notification and what doForms believes of it."""

    key: str
    webservice: str
    event: str
    body: bytes
    belief: str = "new"
    """``new``, ``received``, ``completed`` or ``failed``."""
    heard: str | None = None
    """How the final status came: ``answer`` or ``put``."""
    answers: list[Answer] = field(default_factory=list)
    puts: list[str] = field(default_factory=list)

    def hear(self, answer: Answer) -> None:
        """Take an answer in."""
        self.answers.append(answer)
        if answer.final is not None:
            self.belief, self.heard = answer.final, "answer"
        elif answer.status is not None and 200 <= answer.status < 300 and self.belief == "new":
            self.belief = "received"

    def hear_put(self, status: str) -> None:
        """Take a report in."""
        self.puts.append(status)
        self.belief, self.heard = status, "put"


class Sender:
    """Posts notifications and repeats them."""

    def __init__(self, *, answer_limit: float, repeat_after: Sequence[float]) -> None:
        self._limit = answer_limit
        self._repeat_after = repeat_after
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
        answer = await self.post(url, seen.body, headers)
        seen.hear(answer)
        if answer.repeats:
            task = asyncio.create_task(self._repeat(seen, url, headers))
            self._repeating.add(task)
            task.add_done_callback(self._repeating.discard)
        return answer

    async def _repeat(self, seen: Seen, url: str, headers: Mapping[str, str]) -> None:
        for wait in self._repeat_after:
            await asyncio.sleep(wait)
            answer = await self.post(url, seen.body, headers)
            seen.hear(answer)
            if not answer.repeats:
                return

    async def close(self) -> None:
        """Stop repeating."""
        for task in self._repeating:
            task.cancel()
        await asyncio.gather(*self._repeating, return_exceptions=True)
        await self._http.aclose()
