"""Accounts of doForms that do not answer, or told to wait for long: what a person must hear of it.

Where there is no answer at all their calls pause, longer each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gateway.alarms.book import AlarmBook
from gateway.doforms.failures import NoAnswer
from gateway.models import AlarmKind
from gateway.store.engine.transaction_time import from_store
from gateway.store.store import Store
from gateway.store.work.alarms import Alarm

IN_A_ROW = 5
"""So many calls without any answer between them: one or two are lost on any network."""
_TOLD_AT = 2
"""Pauses that nobody needs to hear of: a moment without network ends by itself."""
_LONG = 60.0
"""Seconds of a wait that nobody needs to hear of."""
_FIRST = 2.0
_LONGEST = 60.0
"""Seconds of the first pause and of the longest; each is twice the one before."""


class OutageDetector:
    """Counts by account; the watch clears the alarm when doForms has answered after it."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._alarms = AlarmBook(store)
        self._clock = clock
        self._in_a_row: dict[str, int] = {}
        self._paused_at: dict[str, float] = {}
        self._answered_at: dict[str, datetime] = {}
        self._waits_until: dict[str, float] = {}

    def answered(self, account: str) -> None:
        """Note that doForms answered a call, whatever it said."""
        self._in_a_row.pop(account, None)
        self._answered_at[account] = from_store(self._store.now())

    async def unanswered(self, account: str, began: float, error: NoAnswer) -> float:
        """Note that a call which ``began`` then, by the clock, had no answer; returns for how long to make none.

        What was under way when a pause began says nothing new.
        """
        if began < self._paused_at.get(account, began):
            return 0.0
        number = self._in_a_row[account] = self._in_a_row.get(account, 0) + 1
        pauses = number - IN_A_ROW  # so many came before
        if pauses < 0:
            return 0.0
        self._paused_at[account] = self._clock()
        if pauses >= _TOLD_AT:
            await self._tell(account, number, error)
        return min(_FIRST * 2.0 ** min(pauses, 10), _LONGEST)

    async def _tell(self, account: str, number: int, error: NoAnswer) -> None:
        text = (
            f"doForms does not answer the calls of the account {account}: {number} in a row, the last one: {error}. "
            "Notifications are taken all the same; what needs a call waits, and one is tried each minute. Look whether "
            "this machine reaches that address (network, proxy, name service), and at doForms' status page"
        )
        await self._alarms.raise_alarm(AlarmKind.DOFORMS_SILENT, account, text)

    async def waits(self, account: str, seconds: float) -> None:
        """Note that doForms asked for no calls for so long (429)."""
        self._waits_until[account] = self._clock() + seconds
        if seconds <= _LONG:
            return
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        text = (
            f"doForms answered 429 to a call of the account {account} and asked for none until "
            f"{until:%Y-%m-%d %H:%M:%S} UTC. Notifications are taken all the same; what needs a call waits until then. "
            "Look who else uses the account, and whether `requests_per_minute` is above what doForms allows. "
            "A gateway that is started again calls at once"
        )
        await self._alarms.raise_alarm(AlarmKind.ACCOUNT_WAITS, account, text)

    def has_ended(self, alarm: Alarm) -> bool:
        """Tell whether doForms answered this process after the alarm's cause was met last, or the wait is over."""
        if alarm.kind == AlarmKind.ACCOUNT_WAITS and (until := self._waits_until.get(alarm.subject)) is not None:
            return self._clock() >= until
        answered_at = self._answered_at.get(alarm.subject)
        return answered_at is not None and answered_at > alarm.last
