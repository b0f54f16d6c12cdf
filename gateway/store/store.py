"""The store as the rest of the gateway uses it: futures over group commits, and reads in threads."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from gateway.errors import StoreError
from gateway.store.engine import reason_codes
from gateway.store.engine.connect import open_database
from gateway.store.engine.database import ErrorKind, describe, is_of_database
from gateway.store.engine.locks import lock_notifications
from gateway.store.engine.migrate import migrate
from gateway.store.engine.transaction_time import Reading
from gateway.store.engine.writer import STALL, GroupWriter
from gateway.store.work import admit, inbox, lane_leases, late_creates, outbox, queue, watermarks
from gateway.store.work.inbox import Keep, Kept
from gateway.store.work.queue import Begin, Due, Settled, Settlement

R = TypeVar("R")

_EACH = 4096
"""About what an item that waits to be written holds in memory, beside what it carries."""
_READ_AGAIN = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5)
"""Seconds between the tries of a query whose connection was lost."""


@dataclass(frozen=True, slots=True, eq=False)
class Begins:
    """Attempts that begin together."""

    group: Sequence[Begin]


@dataclass(frozen=True, slots=True, eq=False)
class Settlements:
    """Deliveries that are settled together."""

    group: Sequence[Settlement]


@dataclass(frozen=True, slots=True, eq=False)
class Note:
    """A step that locks nothing but the row of a notification and what hangs on it."""

    id: int
    step: Callable[[Connection], Any]


Operation = Begins | Settlements | Note | Callable[[Connection], Any]
"""What the ledger's writer takes: attempts that begin, settlements, notes, or any other short transaction."""


def _shares(operation: Operation) -> Hashable:
    """Tell what may share a transaction where several processes lock rows.

    Beginning and settling lock all their lanes at once and in order, notes all their notifications. What else is done
    locks whatever it needs: several such steps in one transaction would lock in an order of chance, and cross those of
    other processes.
    """
    if isinstance(operation, Settlements | Begins):
        return "lanes"
    return "notifications" if isinstance(operation, Note) else object()


class Store:
    """One process' hold on the store.

    Keeping has a writer of its own, so that receiving never waits in line behind the work; everything else that writes
    goes through the ledger's.
    """

    def __init__(self, url: str, *, lease: float = 60.0) -> None:
        self.database = open_database(url)
        self.lease = lease
        self._process = secrets.token_hex(4)
        self._tokens = itertools.count(1)
        self._attempt_ids = itertools.count(secrets.randbits(40) << 20)
        self._keeping = GroupWriter("keep", self.database, self._keep)
        self._ledger: GroupWriter[Operation, Any] = GroupWriter(
            "ledger",
            self.database,
            self._apply,
            persistent=True,
            kind=_shares if self.database.shared else None,
        )
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="read")
        self._has_backfilled: bool | None = None
        self._believed: Reading | None = None
        self._stalls: list[str] = []
        self.is_new = False
        """Whether `open` has made it."""

    async def open(self, *, beside: bool = False) -> None:
        """Take hold of the database, bring its schema forward, void what a dead process left if it was alone, start.

        Where several processes share the store a dead one's leases lapse, and the reports of the answers that it left
        open stand by: those of the living must stay. A command beside a gateway takes hold of nothing.

        Raises:
            StoreInUse: another `gateway serve` runs on it.
            StoreTooNew: it was written by a newer gateway.
            StoreError: it cannot be reached or used.
        """
        if not beside:
            self.database.hold()
            try:
                await asyncio.to_thread(self._prepare)
            except Exception as error:
                self.database.close()
                if not is_of_database(error):
                    raise
                raise StoreError(f"the store {self.database.name} cannot be used: {describe(error)}") from error
        self._keeping.start()
        self._ledger.start()

    def _prepare(self) -> None:
        before, _ = migrate(self.database)
        self.is_new = before is None
        with self.database.write() as connection:
            reason_codes.fill_few(connection)
            if self.database.shared:
                return
            lane_leases.void_leases(connection)
            outbox.void_leases(connection)
            outbox.forget_open_answers(connection)
            watermarks.void_leases(connection)

    async def close(self) -> None:
        """Write what was handed in, and let go."""
        await self._keeping.close()
        await self._ledger.close()
        self._readers.shutdown()
        self.database.close()

    @property
    def trouble(self) -> str | None:
        """Why the database cannot be reached; None: it can, as far as is known."""
        return self._keeping.trouble or self._ledger.trouble

    def take_stalls(self) -> list[str]:
        """Return why steps of the store failed after a long wait since this was asked last."""
        stalls = [*self._keeping.stalls, *self._ledger.stalls, *self._stalls, *self.database.stalls]
        self.database.stalls = []
        self._keeping.stalls, self._ledger.stalls, self._stalls = [], [], []
        return stalls

    @property
    def held(self) -> int:
        """Bytes in memory that came from outside and wait to be written, about; nobody may wait for them any more."""
        return self._keeping.held + self._ledger.held

    async def free(self) -> int | None:
        """Tell how many bytes may still be written; None: that cannot be known."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.database.free)

    def leapt(self) -> int:
        """Return by how many microseconds the store's clock has leapt since it was believed last; 0: it has not.

        Until that is put right nothing may be claimed by the time: what its holder is about would look lapsed.
        """
        return 0 if self._believed is None else self.database.reading().leap_since(self._believed)

    def believe(self) -> None:
        """Believe the store's clock as it is now: a leap is measured from here."""
        self._believed = self.database.reading()

    def now(self) -> int:
        """Return the store's time as far as this process knows it, to wait by."""
        return self.database.now()

    async def keep_listening(self, heard: Callable[[], None]) -> None:
        """Call ``heard`` whenever another process left work for anybody, until cancelled."""
        await self.database.keep_listening(heard)

    def on_kept_late(self, call: Callable[[Keep, Kept], None]) -> None:
        """Have a function called with what was kept although nobody waited for it any more."""
        self._keeping.on_unclaimed = call

    def submit(self, item: Keep) -> asyncio.Future[Kept]:
        """Hand in a notification to keep; the future fails if nothing was committed.

        Cancelling the future withdraws nothing.
        """
        return self._keeping.submit(item, _EACH + len(item.notification.body))

    def _keep(self, connection: Connection, group: Sequence[Keep]) -> list[Kept]:
        ids = self.database.ids
        # A file's only gateway knows whether records were backfilled: a command that did so has taken the id that comes
        # next here, and is found out by that. On PostgreSQL nothing would tell what another process does meanwhile.
        if self._has_backfilled is None:
            self._has_backfilled = self.database.shared or late_creates.any_backfilled(connection)
        kept_by = late_creates.keep if self._has_backfilled else inbox.keep
        try:
            kept = kept_by(connection, group, ids=ids, token=self.token(), lease=self.lease)
        except BaseException:
            ids.forget()
            self._has_backfilled = None
            raise
        if self.database.shared and any(not delivery.new.take for one in kept for delivery in one.deliveries):
            self.database.tell_others(connection)
        return kept

    async def let_in(self, group: Sequence[Keep]) -> list[Keep]:
        """Keep records that doForms lists and of which nothing is known; returns those that were kept."""

        def let_in(connection: Connection) -> list[Keep]:
            self._has_backfilled = True
            try:
                kept = admit.let_in(connection, group, ids=self.database.ids)
            except BaseException:
                self.database.ids.forget()
                raise
            self.database.tell_others(connection)
            return kept

        return await self.write(let_in)

    async def begin(self, group: Sequence[Begin]) -> list[bool]:
        """Mark attempts as begun; False where the lease is lost or the delivery has ended."""
        marks: list[bool] = await self._ledger.submit(Begins(group))
        return marks

    async def settle(self, group: Sequence[Settlement]) -> list[Settled]:
        """Settle deliveries."""
        settled: list[Settled] = await self._ledger.submit(Settlements(group))
        return settled

    async def claim(self, wanted: Mapping[str, int], *, alone: bool = True) -> list[Due]:
        """Claim up to so many lanes of each destination; with ``alone`` one suspect may be among their heads."""
        token = self.token()

        def claim(connection: Connection) -> list[Due]:
            if self.leapt():
                return []
            return queue.claim(connection, wanted, token=token, lease=self.lease, alone=alone)

        return await self.write(claim)

    async def release(self, held: Iterable[Due]) -> None:
        """Hand claimed lanes back without having sent anything, for any process to take."""
        lanes = [(due.lane_id, due.token) for due in held]

        def give_back(connection: Connection) -> None:
            lane_leases.release(connection, lanes)
            self.database.tell_others(connection)

        await self.write(give_back)

    async def write(self, operation: Callable[[Connection], R], *, carries: int | None = None) -> R:
        """Run a short operation in a transaction of the ledger; it may be shared, and may be run twice.

        ``carries``: bytes in it that came from outside, to be counted into `held`.
        """
        result: R = await self._ledger.submit(operation, 0 if carries is None else _EACH + carries)
        return result

    async def note(self, notification_id: int, step: Callable[[Connection], R]) -> R:
        """Run a short operation that locks nothing but a notification and what hangs on it; otherwise as `write`.

        Several processes can make such steps in groups, where each `write` has a commit of its own.
        """
        result: R = await self._ledger.submit(Note(notification_id, step))
        return result

    async def read(self, operation: Callable[[Connection], R]) -> R:
        """Run a query in a thread; it may be run twice."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, operation)

    def _read(self, operation: Callable[[Connection], R]) -> R:
        for wait in _READ_AGAIN:
            began = time.monotonic()
            try:
                with self.database.read() as connection:
                    return operation(connection)
            except Exception as error:
                if time.monotonic() - began > STALL:
                    self._stalls = [*self._stalls[-9:], describe(error)]
                if self.database.fate(error) is not ErrorKind.LOST:
                    raise
            time.sleep(wait)
        with self.database.read() as connection:
            return operation(connection)

    def attempt_id(self) -> int:
        """Return a new attempt id."""
        return next(self._attempt_ids)

    def token(self) -> str:
        """Return a new token: the name under which one claim of this process holds what it claimed."""
        return f"{self._process}-{next(self._tokens)}"

    def _apply(self, connection: Connection, group: Sequence[Operation]) -> list[Any]:
        """Apply a group in steps, so that what is alike shares its statements: settle, begin, then anything else."""
        settlements = [operation for operation in group if isinstance(operation, Settlements)]
        begins = [operation for operation in group if isinstance(operation, Begins)]
        ends, starts = (
            [one for part in settlements for one in part.group],
            [one for part in begins for one in part.group],
        )
        results: dict[int, Any] = {}
        if ends or starts:
            queue.lock(connection, [*ends, *starts])
        settled = iter(queue.settle(connection, ends, lease=self.lease))
        for part in settlements:
            results[id(part)] = [next(settled) for _ in part.group]
        begun = iter(queue.begin(connection, starts))
        for start in begins:
            results[id(start)] = [next(begun) for _ in start.group]
        notes = [operation for operation in group if isinstance(operation, Note)]
        if len(notes) > 1:
            lock_notifications(connection, [note.id for note in notes])
        for operation in group:
            if isinstance(operation, Note):
                results[id(operation)] = operation.step(connection)
            elif not isinstance(operation, Settlements | Begins):
                results[id(operation)] = operation(connection)
        return [results[id(operation)] for operation in group]
