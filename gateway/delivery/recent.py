"""Keeps recent notifications in memory, so that their next deliveries need not read them from the store."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from gateway.models import FetchState
from gateway.store.work.records import KeptNotification

_MOST = 4096
_SMALL = 4096
"""Bytes of the body of a notification that is kept in memory."""


class RecentNotifications:
    """The newest notifications, but for those with large bodies."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, KeptNotification] = OrderedDict()

    def get(self, id_: int) -> KeptNotification | None:
        """Return a notification by its id in the store, if it is at hand."""
        return self._kept.get(id_)

    def remember(self, notification: KeptNotification) -> None:
        """Keep a notification at hand whose deliveries will soon be claimed."""
        if len(notification.notification.body) > _SMALL:
            return
        if len(self._kept) >= _MOST:
            self._kept.popitem(last=False)
        self._kept[notification.id] = notification

    def note_fetched(self, kept: KeptNotification) -> None:
        """Note that the record of a notification is pinned: its next delivery stands in no line for it."""
        if kept.fetch_state is FetchState.DUE and kept.id in self._kept:
            self._kept[kept.id] = replace(kept, fetch_state=FetchState.PINNED)
