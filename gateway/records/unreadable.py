"""Detects web services whose records doForms lists but does not hand out."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from gateway.alarms.book import AlarmBook
from gateway.config.loaded import Webservice
from gateway.models import AlarmKind
from gateway.store.engine.transaction_time import from_store
from gateway.store.store import Store
from gateway.store.work.alarms import Alarm

IN_A_ROW = 3
"""So many records, with none read in between: one alone can be a record's own trouble."""
_COUNTED = 1000


class Unreadable:
    """Keeps count, by web service, and raises the alarm; the watch clears it when a record was read after that."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._alarms = AlarmBook(store)
        self._in_a_row: dict[str, set[str]] = {}
        self._unknown: Counter[str] = Counter()
        self._read_at: dict[str, datetime] = {}

    def was_read(self, webservice_id: str) -> None:
        """Note that a record of a web service was read."""
        self._in_a_row.pop(webservice_id, None)
        self._unknown.pop(webservice_id, None)
        self._read_at[webservice_id] = from_store(self._store.now())

    def was_listed(self, webservice_id: str) -> None:
        """Note that a listing of a web service worked."""
        self._unknown.pop(webservice_id, None)

    def was_unknown(self, webservice_id: str) -> int:
        """Note that doForms knows of no listing of a web service; returns how often in a row."""
        self._unknown[webservice_id] += 1
        return self._unknown[webservice_id]

    async def was_only_listed(self, webservice: Webservice, key: str, told: Exception) -> None:
        """Note that a record is in a listing but could be read neither by its key nor by its id."""
        keys = self._in_a_row.setdefault(webservice.id, set())
        if len(keys) < _COUNTED:
            keys.add(key)
        if len(keys) < IN_A_ROW:
            return
        text = (
            f"doForms lists the records of {webservice.name} but hands none of them out: {len(keys)} in a row could "
            f"be read neither by key nor by id, the last one with: {told}. Nothing was sent or replaced for them, and "
            f"they are tried again. If it goes on, ask doForms whether this web service may read its records"
        )
        await self._alarms.raise_alarm(AlarmKind.RECORDS_NOT_READABLE, webservice.id, text)

    def has_ended(self, alarm: Alarm) -> bool:
        """Tell whether this process read a record of the web service after the alarm's cause was met last."""
        read_at = self._read_at.get(alarm.subject)
        return read_at is not None and read_at > alarm.last
