"""Deliberate bugs: each switches one guard of the gateway off, in a process that a test has started for that.

They show that the books notice. Nothing here is reached unless a test names a bug.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert

from gateway.delivery import deaths
from gateway.intake import plan
from gateway.leases import Leases
from gateway.models import DeliveryState, Outcome
from gateway.store.engine import writer
from gateway.store.engine.bulk_sql import Prepared
from gateway.store.tables import notifications
from gateway.store.work import inbox, queue
from gateway.store.work.inbox import Keep, Kept
from gateway.store.work.queue import Due, Settlement
from gateway.web.keep import Keeper
from tests.crash.plan import Kind


@dataclass(frozen=True, slots=True)
class Bug:
    """A guard that can be switched off, and the faults that bring out what it guards against."""

    switch_off: Callable[[], None]
    only: Collection[Kind]
    notices: str | None
    """The book that must notice; None: it is no bug by itself, and every book must hold."""


def _answer_before_commit() -> None:
    """Callers are told of what they handed in when it was written, but not committed yet."""

    def write(self: Any, group: list[Any]) -> None:
        if self._thread.name != "keep":
            original(self, group)
            return
        with self._database.write() as connection:
            results = self._apply(connection, [item for item, *_ in group])
            self._loop.call_soon_threadsafe(self._resolve, group, results)
            time.sleep(0.3)  # as a slow disk would take

    original = writer.GroupWriter._write
    writer.GroupWriter._write = write


def _look_then_insert() -> None:
    """A repeat is looked for when it arrives; the insert itself does not care."""
    from alembic import op

    def create_table(name: str, *columns: Any, **more: Any) -> Any:
        if name == "notifications":
            columns = tuple(one for one in columns if not isinstance(one, UniqueConstraint))
        return make(name, *columns, **more)

    async def kept(self: Any, item: Keep, started: float) -> Kept:
        key = item.notification.key
        look = select(notifications.c.id, notifications.c.outcome).where(notifications.c.notification_key == key)
        row = await self._store.read(lambda connection: connection.execute(look).first())
        if row is None:
            return await keep(self, item, started)
        outcome = None if row.outcome is None else Outcome(row.outcome)
        return Kept(id=row.id, repeat=True, outcome=outcome, mode=item.mode, reason=item.reason)

    make, keep = op.create_table, Keeper.keep
    op.create_table = create_table
    Keeper.keep = kept
    inbox._insert_notifications = Prepared(insert(notifications), inbox._GIVEN)


def _ignore_lanes() -> None:
    """Every delivery has a lane of its own."""

    def alone(*_: Any, delivery: str, **__: Any) -> str:
        return delivery

    plan.lane_key = alone


def _settle_without_lease() -> None:
    """Whoever has made an attempt settles it, though another may have taken the lane and settled it meanwhile."""
    _hold_everything("settle", lambda *_: True)
    _never_renew()


def _send_without_lease() -> None:
    """A delivery is begun and sent by whoever once claimed it, though another may hold its lane by then."""
    _hold_everything("begin", lambda standing, _: standing.state == DeliveryState.PENDING)
    Leases.valid = lambda *_: True
    _never_renew()


def _never_renew() -> None:
    """Let every lease lapse, as if the process stood still for that long now and then. By itself this is no bug."""

    async def keep_renewed(self: Leases) -> None:
        await asyncio.Event().wait()

    Leases.keep_renewed = keep_renewed


def _count_no_deaths() -> None:
    """What a dead process held is due at once, again and again, as if nothing had happened."""

    def again(due: Due, *_: Any, moment: int, **__: Any) -> Settlement:
        return Settlement(due=due, attempt_id=None, state=DeliveryState.PENDING, due_at=moment)

    deaths.settle_cut_short = again


def _hold_everything(name: str, is_held_by: Callable[[Any, str], bool]) -> None:
    """Judge by another rule than the store's who may do one of the queue's operations."""

    def operation(*given: Any, **more: Any) -> Any:
        queue._Standing.is_held_by = is_held_by
        try:
            return original(*given, **more)
        finally:
            queue._Standing.is_held_by = rule

    original, rule = getattr(queue, name), queue._Standing.is_held_by
    setattr(queue, name, operation)


BUGS: Mapping[str, Bug] = {
    "answer before commit": Bug(_answer_before_commit, {Kind.KILL}, "acknowledged is kept once"),
    "look then insert": Bug(_look_then_insert, {Kind.API_SLOW}, "kept was sent"),
    "lanes ignored": Bug(_ignore_lanes, {Kind.SERVICE_DOWN, Kind.SERVICE_SLOW}, "lanes kept their order"),
    "settle without lease": Bug(_settle_without_lease, {Kind.TABLES_LOCKED}, "nothing happened twice"),
    "send without lease": Bug(_send_without_lease, {Kind.TABLES_LOCKED}, "nothing happened twice"),
    "deaths not counted": Bug(_count_no_deaths, {Kind.DEADLY_RECORD}, "deadly records are given up"),
    "no renewal": Bug(_never_renew, {Kind.TABLES_LOCKED}, None),
}
