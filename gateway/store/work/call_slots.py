"""Slots for calls to an account that are under way at once, shared by the processes that share the store.

The rules, before the SQL:

- A process has a row for each account that it calls: its slots, its demand (calls under way and waiting), its lease.
- The slots of all rows whose lease runs are never more than the account has. A row never falls below what its process
  may use at that moment: the process says so, and takes no more until it has the answer.
- Free slots go to whoever asks, up to its demand. Where somebody's demand is not met, each is told its fair share, and
  gives back what is above it as its calls end. A rest that cannot be divided goes round.
- A killed process' slots come back when its lease has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.store.engine import rates
from gateway.store.engine.transaction_time import SECOND, ask, micros
from gateway.store.tables import call_slots

_ROUND = SECOND
"""How long a slot that cannot be divided stays with one process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a process may use of an account's slots."""

    slots: int
    """Those it has."""
    fair: int
    """Those it should come down to, because others wait; as many as it has if nobody does."""
    until: float
    """When its lease ends, by `time.monotonic`."""


def balance(
    connection: Connection, account: str, *, holder: str, keeps: int, demand: int, most: int, lease: float
) -> Share:
    """Renew a process' slots, of which it keeps so many for sure, and give it more if it has need of them."""
    asked_at, moment = ask(connection)
    rates.lock(connection, f"slots {account}")
    column = call_slots.c
    connection.execute(delete(call_slots).where(column.account == account, column.until <= moment))
    others = connection.execute(
        select(column.holder, column.slots, column.demand).where(column.account == account, column.holder != holder)
    ).all()
    fair = _fair({row.holder: row.demand for row in others} | {holder: demand}, most, moment // _ROUND)[holder]
    waits = any(row.demand > row.slots for row in others)
    free = most - sum(row.slots for row in others) - keeps
    slots = keeps + max(0, min(free, (fair if waits else demand) - keeps))
    values = {"slots": slots, "demand": demand, "until": moment + micros(lease)}
    row = insert(call_slots).values(account=account, holder=holder, **values)
    connection.execute(row.on_conflict_do_update(index_elements=[column.account, column.holder], set_=values))
    return Share(slots=slots, fair=min(fair, slots) if waits else slots, until=asked_at + lease)


def give_back(connection: Connection, account: str, holder: str) -> None:
    """Give all slots of a process back."""
    connection.execute(delete(call_slots).where(call_slots.c.account == account, call_slots.c.holder == holder))


def _fair(demands: Mapping[str, int], most: int, turn: int) -> dict[str, int]:
    """Divide slots: evenly, nobody more than it needs; ``turn`` tells whose turn it is to get one of the rest."""
    shares = dict.fromkeys(demands, 0)
    left = most
    while hungry := sorted(name for name, share in shares.items() if share < demands[name]):
        each, rest = divmod(left, len(hungry))
        if each == 0:
            for place in range(rest):
                shares[hungry[(turn + place) % len(hungry)]] += 1
            break
        for name in hungry:
            more = min(each, demands[name] - shares[name])
            shares[name] += more
            left -= more
    return shares
