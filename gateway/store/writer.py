"""Group commit: what concurrent callers hand in is written in one transaction, so that they share one fsync."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy import Connection

from gateway.store.engine import Database

Item = TypeVar("Item")
Result = TypeVar("Result")

LARGEST_GROUP = 512


class GroupWriter(Generic[Item, Result]):
    """A thread that drains what has been handed in, applies it in one transaction and wakes the callers after COMMIT.

    ``apply(connection, items)`` returns a result for each item, in order. When a group fails it is tried again one by
    one, so that only the culprit fails. A caller that is cancelled neither withdraws its item nor harms the others.
    """

    def __init__(
        self, name: str, database: Database, apply: Callable[[Connection, Sequence[Item]], Sequence[Result]]
    ) -> None:
        self._database = database
        self._apply = apply
        self._inbox: queue.SimpleQueue[tuple[Item, asyncio.Future[Result]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def start(self) -> None:
        """Start the thread; its callers live in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """Hand an item in; the future ends after the transaction that holds it was committed, or could not be."""
        assert self._loop is not None, "start() comes first"
        future: asyncio.Future[Result] = self._loop.create_future()
        if self._closed:
            future.set_exception(RuntimeError("the store is closed"))
        else:
            self._inbox.put((item, future))
        return future

    async def close(self) -> None:
        """Write what was handed in, then end the thread."""
        self._closed = True
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (first := self._inbox.get()) is not None:
            group = [first]
            last = False
            while len(group) < LARGEST_GROUP:
                try:
                    entry = self._inbox.get_nowait()
                except queue.Empty:
                    break
                if entry is None:
                    last = True
                    break
                group.append(entry)
            self._write(group)
            if last:
                return

    def _write(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        results = self._commit([item for item, _ in group])
        futures = [future for _, future in group]
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(_resolve, futures, results)
        except RuntimeError:  # the loop has ended: nobody waits any more, and what was committed stays
            return

    def _commit(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        try:
            with self._database.write() as connection:
                results = self._apply(connection, items)
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [result for item in items for result in self._commit([item])]
        return results


def _resolve(futures: Sequence[asyncio.Future[Result]], results: Sequence[Result | Exception]) -> None:
    for future, result in zip(futures, results, strict=True):
        if future.done():  # cancelled: the item was written all the same
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
