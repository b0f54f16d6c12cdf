"""Searches listings around a notification's time for the id of its record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from weakref import WeakValueDictionary

from gateway.calls.client import WebserviceClient
from gateway.doforms.failures import Later
from gateway.doforms.listing import ListedRecord
from gateway.doforms.listing_walk import walk
from gateway.models import Notification

_AROUND = timedelta(minutes=15)
"""How far doForms' clock and ours may be apart, and a record's receipt and its notification."""
_MINUTE = timedelta(minutes=1)
_MOST_CALLS = 50
"""Listings made in one round."""


@dataclass(frozen=True, slots=True)
class Window:
    """From ``begin`` to before ``end``."""

    begin: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.begin:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


def windows_of(notification: Notification) -> tuple[Window, ...]:
    """Return where a notification's record is looked for: around the time of both, or of each if they are far apart.

    Whole minutes, so that many notifications of one moment look in the same place.
    """
    created = notification.created or notification.received
    early, late = min(created, notification.received), max(created, notification.received)
    if late - early <= 2 * _AROUND:
        return (_around(early, late),)
    return _around(created, created), _around(notification.received, notification.received)


def _around(early: datetime, late: datetime) -> Window:
    begin, end = early - _AROUND, late + _AROUND + _MINUTE
    return Window(begin.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0))


Place = tuple[str, tuple[Window, ...]]
"""Where is listed: the web service's id, and the windows."""


class _AllFound(Exception):
    """Nothing more needs to be listed."""


@dataclass(slots=True, eq=False)
class _Round:
    """Listings that are about to be made, and the keys that are looked for in them."""

    wanted: set[str]
    found: dict[str, str | None] = field(default_factory=dict)


class ListingSearch:
    """Lists in rounds, one at a time for each web service.

    Whoever looks in the same place while a round waits for its turn takes part in it: a burst of records that cannot be
    read by their keys costs a few listings, not one for each, because all that is listed is learnt.
    """

    def __init__(self) -> None:
        self._waiting: dict[Place, tuple[_Round, asyncio.Task[None]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def look(self, client: WebserviceClient, notification: Notification, key: str) -> Mapping[str, str | None]:
        """Look for a key; returns key -> id, empty if it is not listed. An id can be missing in a listing.

        Raises what `AccountClient.list_submissions` raises.
        """
        place = (client.webservice.id, windows_of(notification))
        waiting = self._waiting.get(place)
        if waiting is None:
            one = _Round({key})
            task = asyncio.create_task(self._list(one, place, client))
            waiting = self._waiting[place] = one, task
            self._running.add(task)
            task.add_done_callback(partial(self._ended, place))
        one, task = waiting
        one.wanted.add(key)
        await asyncio.shield(task)
        return {key: one.found[key]} if key in one.found else {}

    async def stop(self) -> None:
        """Break off the rounds that are under way."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, place: Place, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if (waiting := self._waiting.get(place)) is not None and waiting[1] is task:  # cancelled before its turn
            del self._waiting[place]
        if not task.cancelled():
            task.exception()  # looked at: whoever asked may have gone meanwhile

    async def _list(self, one: _Round, place: Place, client: WebserviceClient) -> None:
        calls = 0

        async def ask(begin: datetime, end: datetime, skip: int) -> Sequence[ListedRecord]:
            nonlocal calls
            if calls == _MOST_CALLS:
                raise Later(
                    f"after {calls} listings those received from {begin:%Y-%m-%d %H:%M:%S} on were not looked at"
                )
            calls += 1
            found = await client.list_submissions(begin, end, skip=skip)
            one.found |= {record.key: record.id for record in found if record.key in one.wanted}
            if one.wanted <= one.found.keys():
                raise _AllFound
            return found

        turn = self._turns.setdefault(place[0], asyncio.Lock())
        async with turn:
            del self._waiting[place]  # from here on nobody takes part who came later
            with suppress(_AllFound):
                for window in place[1]:
                    async for _ in walk(ask, window.begin, window.end):
                        continue
