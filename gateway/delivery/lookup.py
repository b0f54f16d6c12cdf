"""Looking for a record's id in the listings of the time around its notification."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakValueDictionary

from gateway.delivery.calls import Calls
from gateway.delivery.windows import Window, pages, windows_of
from gateway.doforms.limits import Priority
from gateway.doforms.listing import ListedRecord
from gateway.models import Notification
from gateway.routing.loaded import Account, Webservice
from gateway.store import record_ids
from gateway.store.store import Store

Place = tuple[str, tuple[Window, ...]]
"""Where is listed: the web service's id, and the windows."""


@dataclass(slots=True, eq=False)
class _Round:
    """Listings that are about to be made, and the keys that are looked for in them."""

    wanted: set[str]
    found: dict[str, str | None] = field(default_factory=dict)


class Lookup:
    """Lists in rounds, one at a time for each web service.

    Whoever looks in the same place while a round waits for its turn takes part in it: a burst of records that cannot be
    read by their keys costs a few listings, not one for each. All that is listed is learnt.
    """

    def __init__(self, *, store: Store, calls: Calls) -> None:
        self._store = store
        self._calls = calls
        self._waiting: dict[Place, tuple[_Round, asyncio.Task[None]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def look(
        self, account: Account, webservice: Webservice, notification: Notification, key: str, *, urgent: bool
    ) -> Mapping[str, str | None]:
        """Look for a key; returns key -> id, empty if it is not listed. An id can be missing in a listing.

        Raises what `Calls.list_submissions` raises.
        """
        place = (webservice.id, windows_of(notification))
        waiting = self._waiting.get(place)
        if waiting is None:
            priority = Priority.IMMEDIATE_FETCH if urgent else Priority.FETCH
            one = _Round({key})
            task = asyncio.create_task(self._list(one, place, account, webservice, priority))
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

    async def _list(
        self, one: _Round, place: Place, account: Account, webservice: Webservice, priority: Priority
    ) -> None:
        async def list_page(window: Window, skip: int) -> Sequence[ListedRecord]:
            return await self._calls.list_submissions(
                account, webservice, window.begin, window.end, skip=skip, priority=priority
            )

        turn = self._turns.setdefault(webservice.id, asyncio.Lock())
        async with turn:
            del self._waiting[place]  # from here on nobody takes part who came later
            async for page in pages(place[1], list_page):
                listed = {record.key: record.id for record in page}
                one.found |= {key: listed[key] for key in one.wanted & listed.keys()}
                await self._learn(account.name, {key: id_ for key, id_ in listed.items() if id_})
                if one.wanted <= one.found.keys():
                    return

    async def _learn(self, account: str, pairs: Mapping[str, str]) -> None:
        if pairs:
            await self._store.write(lambda connection: record_ids.learn(connection, account, pairs))
