"""Group commit: what concurrent callers hand in is written in one transaction, so that they share one fsync."""

from __future__ import annotations

import asyncio
import queue
import random
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

import structlog
from sqlalchemy import Connection

from gateway.store.engine.database import Database, ErrorKind, describe

log = structlog.get_logger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
_Entry = tuple[Item, "asyncio.Future[Result]", int]

LARGEST_GROUP = 512
_CROSSINGS = 10
"""So often a group that met another one half-way is tried again."""
STALL = 4.5
"""Seconds that a transaction which failed has taken, from which on it is told: it waited for an answer or a lock."""
_FIRST_WAIT = 0.05
_LONGEST_WAIT = 1.0
"""Seconds between two tries to reach a database that is gone."""


class GroupWriter(Generic[Item, Result]):
    """A thread that drains what has been handed in, applies it in one transaction and wakes the callers after COMMIT.

    ``apply(connection, items)`` returns a result for each item, in order. When a group fails it is tried again one by
    one, so that only the culprit fails. A group that crossed another one is tried again as it is. One whose connection
    was lost fails as a whole; with ``persistent`` it is tried until the database is back, whether or not its commit got
    through: then ``apply`` must be fit to be run twice. A caller that is cancelled neither withdraws its item nor
    harms the others. Items of which ``kind`` says the same share a transaction; left out: all.
    """

    def __init__(
        self,
        name: str,
        database: Database,
        apply: Callable[[Connection, Sequence[Item]], Sequence[Result]],
        *,
        persistent: bool = False,
        kind: Callable[[Item], Hashable] | None = None,
    ) -> None:
        self._name = name
        self._database = database
        self._apply = apply
        self._persistent = persistent
        self._kind = kind
        self.trouble: str | None = None
        """Why the database could not be reached when it was last tried; None: it could."""
        self.stalls: list[str] = []
        """Why transactions failed after a long wait, until somebody takes it over."""
        self.held = 0
        """The weight of all that was handed in and is not written yet, whether or not anybody still waits for it."""
        self._gathered: list[_Entry[Item, Result]] = []
        self._inbox: queue.SimpleQueue[list[_Entry[Item, Result]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self.on_unclaimed: Callable[[Item, Result], None] | None = None
        """Called in the event loop with what was written for a caller that was cancelled."""

    def start(self) -> None:
        """Start the thread; its callers live in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def submit(self, item: Item, weight: int = 0) -> asyncio.Future[Result]:
        """Hand an item in; the future ends after the transaction that holds it was committed, or could not be.

        ``weight`` counts into `held` until then.
        """
        assert self._loop is not None, "start() comes first"
        future: asyncio.Future[Result] = self._loop.create_future()
        if self._closed:
            future.set_exception(RuntimeError("the store is closed"))
            return future
        if not self._gathered:  # whoever else is ready in this turn of the event loop hands in before the thread wakes
            self._loop.call_soon(self._hand_over)
        self.held += weight
        self._gathered.append((item, future, weight))
        if len(self._gathered) == LARGEST_GROUP:
            self._hand_over()
        return future

    def _hand_over(self) -> None:
        if self._gathered:
            self._inbox.put(self._gathered)
            self._gathered = []

    async def close(self) -> None:
        """Write what was handed in, then end the thread."""
        self._closed = True
        self._hand_over()
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (group := self._inbox.get()) is not None:
            last = False
            while len(group) < LARGEST_GROUP and not self._inbox.empty():
                more = self._inbox.get()  # nobody else takes from it
                if more is None:
                    last = True
                    break
                group += more
            for part in self._parts(group):
                self._write(part)
            if last:
                return

    def _parts(self, group: list[_Entry[Item, Result]]) -> Iterable[list[_Entry[Item, Result]]]:
        """Return what is written in a transaction each."""
        if self._kind is None:
            return [group]
        parts: dict[Hashable, list[_Entry[Item, Result]]] = {}
        for entry in group:
            parts.setdefault(self._kind(entry[0]), []).append(entry)
        return parts.values()

    def _write(self, group: list[_Entry[Item, Result]]) -> None:
        results = self._commit([item for item, _, _ in group])
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._resolve, group, results)
        except RuntimeError:  # the loop has ended: nobody waits any more, and what was committed stays
            return

    def _commit(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        tries = 0
        while True:
            began = time.monotonic()
            try:
                with self._database.write() as connection:
                    results = self._apply(connection, items)
            except Exception as error:
                tries += 1
                fate = self._database.fate(error)
                took = time.monotonic() - began
                if took > STALL:
                    log.warning(
                        "the store kept a step waiting", writer=self._name, seconds=round(took), reason=describe(error)
                    )
                    self.stalls = [*self.stalls[-9:], describe(error)]
                self._note(error if fate is ErrorKind.LOST else None)
                if not self._goes_on(fate, tries, stalled=took > STALL):
                    return self._failed(items, error, fate)
            else:
                self._note(None)
                return results

    def _goes_on(self, fate: ErrorKind, tries: int, *, stalled: bool) -> bool:
        """Tell whether the whole group is tried again, after the wait that this takes.

        What waited long for a lock is tried again only if it must be written: whoever waits is answered long since.
        """
        if fate is ErrorKind.CROSSED and stalled:
            return self._persistent and not self._closed
        if fate is ErrorKind.CROSSED and tries <= _CROSSINGS:
            time.sleep(random.uniform(0, 0.01 * tries))  # nosec B311
            return True
        if fate is ErrorKind.LOST and self._persistent and not self._closed:
            time.sleep(min(_FIRST_WAIT * 2 ** min(tries, 10), _LONGEST_WAIT))
            return True
        return False

    def _failed(self, items: Sequence[Item], error: Exception, fate: ErrorKind) -> Sequence[Result | Exception]:
        if len(items) == 1 or fate is ErrorKind.LOST:
            return [error] * len(items)
        return [result for item in items for result in self._commit([item])]

    def _note(self, lost: Exception | None) -> None:
        if lost is not None and self.trouble is None:
            log.error("the store cannot be reached; trying again", writer=self._name, reason=describe(lost))
        elif lost is None and self.trouble is not None:
            log.info("the store is back", writer=self._name)
        self.trouble = None if lost is None else describe(lost)

    def _resolve(self, group: Sequence[_Entry[Item, Result]], results: Sequence[Result | Exception]) -> None:
        for (item, future, weight), result in zip(group, results, strict=True):
            self.held -= weight
            if future.done():  # its caller was cancelled; the item was written all the same
                if self.on_unclaimed is not None and not isinstance(result, Exception):
                    self.on_unclaimed(item, result)
            elif isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
