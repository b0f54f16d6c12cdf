"""A notification, the answers to it, and what doForms believes of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

FINAL = ("completed", "failed")


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
        """The final status that doForms reads from the answer, if any."""
        if self.status is None or not 200 <= self.status < 300:
            return None if self.repeats else "failed"
        try:
            status = json.loads(self.body).get("status")
        except (ValueError, AttributeError, RecursionError):
            return None
        return status if status in FINAL else None


class Report(NamedTuple):
    """A PUT that told an outcome."""

    status: str
    seconds: float
    """Since the notification was made."""


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
    reports: list[Report] = field(default_factory=list)
    """The PUTs, and how long after the notification each came."""
    created: float = field(default_factory=time.monotonic)
    """Monotonic time."""
    lost: bool = False
    """Whether it was lost on its way: it was never sent."""

    @property
    def puts(self) -> list[str]:
        """The statuses that came by PUT."""
        return [report.status for report in self.reports]

    @property
    def status(self) -> str:
        """The notification's status as doForms names it: the belief."""
        return self.belief

    @property
    def webservice_id(self) -> str:
        """The id of the web service that fired."""
        return self.webservice

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON; where it is none, the key alone."""
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError):
            data = None
        return data if isinstance(data, dict) else {"key": self.key}

    def hear(self, answer: Answer) -> None:
        """Take an answer in."""
        self.answers.append(answer)
        if answer.final is not None:
            self.belief, self.heard = answer.final, "answer"
        elif answer.status is not None and 200 <= answer.status < 300 and self.belief == "new":
            self.belief = "received"

    def hear_put(self, status: str) -> None:
        """Take a report in."""
        self.reports.append(Report(status, time.monotonic() - self.created))
        self.belief, self.heard = status, "put"


Listener = Callable[[str, Seen], None]
"""Called with ``sent``, ``answered``, ``put`` or ``lost``, and the notification."""


class Watch:
    """Tells whoever listens that something happened."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.listeners: list[Listener] = []

    def tell(self, what: str, seen: Seen) -> None:
        """Say that something happened to a notification."""
        self.changed.set()
        for listener in self.listeners:
            listener(what, seen)
