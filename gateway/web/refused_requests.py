"""Logs and counts refused requests, and raises an alarm when there are many."""

from __future__ import annotations

import structlog

from gateway.alarms.book import AlarmBook
from gateway.delivery.background import BackgroundTasks
from gateway.log.limit import LogLimit
from gateway.models import AlarmKind
from gateway.store.store import Store
from gateway.web.auth_failures import AuthFailures
from gateway.web.paths import shown
from gateway.web.strays import Strays

log = structlog.get_logger(__name__)


class RefusedRequests:
    """Requests without the right secret (401), and those with it at a path where nothing is received (404)."""

    def __init__(self, store: Store) -> None:
        self._alarms = AlarmBook(store)
        self._background = BackgroundTasks("an alarm could not be raised")
        self._failures = AuthFailures()
        self._log = LogLimit(log)
        self._strays = Strays(store, self._background.spawn)

    def passed(self) -> None:
        """Note that a request carried the right secret."""
        self._failures.passed()

    def unauthorised(self, *, client: str | None, path: str, doubled: str | None) -> str:
        """Note a request without the right secret; returns what it is answered.

        ``doubled`` is the secret header that came more than once in it.
        """
        why = "no or wrong secret header" if doubled is None else f"the secret header {doubled} came twice"
        self._log.warning(f"refused: {why}", client=client, path=shown(path))
        if (text := self._failures.met(doubled)) is not None:
            self._background.spawn(self._alarms.raise_alarm(AlarmKind.UNAUTHORISED, "webhook", text))
        if doubled is None:
            return "a secret header is missing or wrong"
        return f"the header {doubled} came twice; send it once"

    def stray(self, path: str, webhook: str) -> None:
        """Note a request with the right secret at a path that is not the webhook's."""
        self._strays.met(path, webhook)

    async def finish(self) -> None:
        """Tell what was counted last."""
        self._strays.finish()
        await self._background.wait()
