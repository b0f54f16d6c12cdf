"""The store as the rest of the gateway uses it: futures over group commits, and reads in threads."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from sqlalchemy import Connection

from gateway.errors import StoreInUse
from gateway.store import inbox, outbox, queue
from gateway.store.engine import Database
from gateway.store.ids import Ids
from gateway.store.inbox import Keep, Kept
from gateway.store.migrate import migrate
from gateway.store.queue import Begin, Due, Settled, Settlement
from gateway.store.writer import GroupWriter

R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Begins:
    """Attempts that begin together."""

    group: Sequence[Begin]


@dataclass(frozen=True, slots=True, eq=False)
class Settlements:
    """Deliveries that are settled together."""

    group: Sequence[Settlement]


Operation = Begins | Settlements | Callable[[Connection], Any]
"""What the ledger's writer takes: attempts that begin, settlements, or any other short transaction."""


class Store:
    """One process' hold on the store.

    Keeping has a writer of its own, so that receiving never waits in line behind the work; everything else that writes
    goes through the ledger's.
    """

    def __init__(self, url: str, *, lease: float = 60.0) -> None:
        self.database = Database(url)
        self.lease = lease
        self._process = secrets.token_hex(4)
        self._tokens = itertools.count(1)
        self._ids = Ids()
        self._attempt_ids = itertools.count(secrets.randbits(40) << 20)
        self._keeping = GroupWriter("keep", self.database, self._keep)
        self._ledger: GroupWriter[Operation, Any] = GroupWriter("ledger", self.database, self._apply)
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="read")
        self._lock: IO[str] | None = None

    async def open(self) -> None:
        """Take the store's lock, bring its schema forward, void what a dead process left, and start.

        Raises:
            StoreInUse: another `gateway serve` runs on it.
            StoreTooNew: it was written by a newer gateway.
        """
        self._take_lock()
        await asyncio.to_thread(self._prepare)
        self._keeping.start()
        self._ledger.start()

    def _take_lock(self) -> None:
        path = self.database.path.with_name(self.database.path.name + ".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise StoreInUse(
                f"the store {self.database.path} is in use by another `gateway serve` (process {holder}). "
                "Stop that one first, or give this one a store of its own"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _prepare(self) -> None:
        migrate(self.database)
        with self.database.write() as connection:
            queue.void_leases(connection)
            outbox.void_leases(connection)
            outbox.forget_open_answers(connection)

    async def close(self) -> None:
        """Write what was handed in, and let go."""
        await self._keeping.close()
        await self._ledger.close()
        self._readers.shutdown()
        self.database.close()
        if self._lock is not None:
            self._lock.close()

    def on_kept_late(self, call: Callable[[Keep, Kept], None]) -> None:
        """Have a function called with what was kept although nobody waited for it any more."""
        self._keeping.on_unclaimed = call

    def submit(self, item: Keep) -> asyncio.Future[Kept]:
        """Hand in a notification to keep; the future fails if nothing was committed.

        Cancelling the future withdraws nothing.
        """
        return self._keeping.submit(item)

    def _keep(self, connection: Connection, group: Sequence[Keep]) -> list[Kept]:
        try:
            return inbox.keep(connection, group, ids=self._ids, token=self.token(), lease=self.lease)
        except BaseException:
            self._ids.forget()
            raise

    async def begin(self, group: Sequence[Begin]) -> list[bool]:
        """Mark attempts as begun; False where the lease is lost or the delivery has ended."""
        marks: list[bool] = await self._ledger.submit(Begins(group))
        return marks

    async def settle(self, group: Sequence[Settlement]) -> list[Settled]:
        """Settle deliveries."""
        settled: list[Settled] = await self._ledger.submit(Settlements(group))
        return settled

    async def claim(self, wanted: Mapping[str, int]) -> list[Due]:
        """Claim up to so many lanes of each destination."""
        token = self.token()
        return await self.write(lambda connection: queue.claim(connection, wanted, token=token, lease=self.lease))

    async def write(self, operation: Callable[[Connection], R]) -> R:
        """Run a short operation in a transaction of the ledger; it may be shared, and may be run twice."""
        result: R = await self._ledger.submit(operation)
        return result

    async def read(self, operation: Callable[[Connection], R]) -> R:
        """Run a query in a thread."""

        def run() -> R:
            with self.database.read() as connection:
                return operation(connection)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    def attempt_id(self) -> int:
        """Return a new attempt id."""
        return next(self._attempt_ids)

    def token(self) -> str:
        """Return a new token: the name under which one claim of this process holds what it claimed."""
        return f"{self._process}-{next(self._tokens)}"

    def _apply(self, connection: Connection, group: Sequence[Operation]) -> list[Any]:
        """Apply a group in three steps, so that what is alike shares its statements: settle, begin, anything else."""
        settlements = [operation for operation in group if isinstance(operation, Settlements)]
        begins = [operation for operation in group if isinstance(operation, Begins)]
        results: dict[int, Any] = {}
        settled = iter(queue.settle(connection, [one for part in settlements for one in part.group], lease=self.lease))
        for part in settlements:
            results[id(part)] = [next(settled) for _ in part.group]
        begun = iter(queue.begin(connection, [one for part in begins for one in part.group]))
        for start in begins:
            results[id(start)] = [next(begun) for _ in start.group]
        for operation in group:
            if not isinstance(operation, Settlements | Begins):
                results[id(operation)] = operation(connection)
        return [results[id(operation)] for operation in group]
