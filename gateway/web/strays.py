"""Requests with the right secret at a wrong path: doForms takes their 404 as final."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from gateway.alarms.book import AlarmBook
from gateway.models import AlarmKind
from gateway.store.store import Store
from gateway.tally import Tally
from gateway.web.paths import shown, why_not

log = structlog.get_logger(__name__)

_SUBJECT = "webhook"
_LOST = (
    "It was answered 404, which doForms takes as final, and was not kept: once the URL is right, `gateway reconcile "
    "--books --until 0s` tells what is missing"
)

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Strays:
    """Logs them, and raises one alarm that names the last one's path: a line and a count a second at most."""

    def __init__(self, store: Store, spawn: Spawn) -> None:
        self._alarms = AlarmBook(store)
        self._spawn = spawn
        self._tally = Tally(self._tell)

    def met(self, path: str, webhook: str) -> None:
        """Note one that came to this path."""
        self._tally.met(_SUBJECT, f"{shown(path)}: {why_not(path, webhook)}")

    def finish(self) -> None:
        """Tell what was counted last."""
        self._tally.finish()

    def _tell(self, subject: str, times: int, text: str) -> None:
        log.warning("the right secret came to a path where nothing is received", path=text, times=times)
        told = f"a request with the right secret came to {text}. {_LOST}"
        self._spawn(self._alarms.raise_alarm(AlarmKind.WRONG_PATH, subject, told, times=times))
