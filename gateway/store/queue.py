"""The queue: claiming lanes, beginning attempts, settling them. The contract, before the SQL:

- Only the head of a lane is ever claimed, by claiming the lane: ``holder`` is the claim's token, and ``claimable_at``
  the end of its lease. A lease that lapses makes the lane claimable again and changes nothing else.
- An attempt begins with a committed mark (and what will be sent, the first time) while the lease is still held. Whoever
  finds the mark on a lane that it claims knows that an attempt of unknown end was made.
- Only the holder settles. A settlement that was committed already is accepted again, by its attempt id.
- Settling a delivery sets its notification's outcome when it was the last one that counts, in the same transaction.
- The next delivery of the lane goes to the holder at once, under the same lease, or the lane is let go.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.models import DeliveryState, Outcome
from gateway.store.clock import NEVER, micros, now
from gateway.store.outcome import conclude
from gateway.store.prepared import AnyOf, Prepared, many
from gateway.store.tables import attempts, deliveries, lanes, renderings


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A delivery at the head of a lane that is held."""

    id: int
    notification_id: int
    lane_id: int
    token: str
    lease_until: float
    """By this process' `time.monotonic`, from before the store's clock was asked: never later than in the store."""
    number: int
    route: str
    name: str
    destination: str
    delivery_key: str
    required: bool
    attempts: int = 0
    spent: int = 0
    """Microseconds that count towards giving up."""
    in_doubt: bool = False
    """An earlier attempt was begun and never settled."""
    rendered: bytes | None = None
    """What is sent, if it was rendered already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """An attempt that is about to be made; ``rendered`` the first time."""

    due: Due
    attempt_id: int
    rendered: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of a delivery that was claimed; ``state`` pending means again at ``due_at``."""

    due: Due
    attempt_id: int | None
    """None: it ended, or was put off, before anything was sent."""
    state: DeliveryState
    due_at: int = 0
    counted: bool = True
    """Whether the attempt counts; if not, it is as if it had not been made."""
    spent: int = 0
    result: str = ""
    """A word for the history of attempts: unavailable, rejected, …"""
    reason: str | None = None
    doubt: bool = False
    receipt: str | None = None
    blocks: bool = False
    """Dead in a strict lane: keeps its place at the head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What the store made of a settlement."""

    accepted: bool
    """False: the lease was lost; whoever holds it now settles."""
    next: Due | None = None
    """The next delivery of the lane, still under the lease."""
    outcome: Outcome | None = None
    """The notification's, if this settlement brought it about."""


_HEAD = (
    select(deliveries.c.id)
    .where(deliveries.c.lane_id == lanes.c.id, deliveries.c.in_lane)
    .order_by(deliveries.c.number)
    .limit(1)
    .correlate(lanes)
    .scalar_subquery()
)
_select_heads = Prepared(
    select(
        lanes.c.id.label("lane"),
        deliveries,
        renderings.c.options.label("rendered"),
    )
    .select_from(
        lanes.outerjoin(deliveries, deliveries.c.id == _HEAD).outerjoin(
            renderings, renderings.c.delivery_id == deliveries.c.id
        )
    )
    .where(AnyOf(lanes.c.id, "lane_ids"))
)
_select_standing = Prepared(
    select(
        deliveries.c.id,
        deliveries.c.state,
        deliveries.c.attempt_id,
        deliveries.c.sending_at,
        lanes.c.holder,
    )
    .join(lanes, lanes.c.id == deliveries.c.lane_id)
    .where(AnyOf(deliveries.c.id, "ids"))
)
_select_holders = Prepared(select(lanes.c.id, lanes.c.holder).where(AnyOf(lanes.c.id, "ids")))
_claimable = (
    select(lanes.c.id)
    .where(lanes.c.destination == bindparam("of_destination"), lanes.c.claimable_at <= bindparam("moment"))
    .order_by(lanes.c.claimable_at)
    .limit(bindparam("most"))
)
_next_claimable = Prepared(
    select(lanes.c.claimable_at)
    .where(lanes.c.destination == bindparam("of_destination"), lanes.c.claimable_at.is_not(None))
    .order_by(lanes.c.claimable_at)
    .limit(1)
)
_take = Prepared(
    update(lanes)
    .where(lanes.c.id.in_(_claimable))
    .values(holder=bindparam("token"), claimable_at=bindparam("until"))
    .returning(lanes.c.id)
)
_let_go = Prepared(
    update(lanes)
    .where(lanes.c.id == bindparam("of_id"))
    .values(holder=bindparam("to_holder"), claimable_at=bindparam("at"))
)
_renew = Prepared(
    update(lanes)
    .where(lanes.c.id == bindparam("of_id"), lanes.c.holder == bindparam("token"))
    .values(claimable_at=bindparam("until"))
)
_begin = Prepared(
    update(deliveries)
    .where(deliveries.c.id == bindparam("of_id"))
    .values(attempt_id=bindparam("attempt"), attempts=deliveries.c.attempts + 1, sending_at=bindparam("moment"))
)
_settle = Prepared(
    update(deliveries)
    .where(deliveries.c.id == bindparam("of_id"))
    .values(
        state=bindparam("to_state"),
        in_lane=bindparam("stays"),
        due_at=bindparam("due"),
        attempts=deliveries.c.attempts - bindparam("uncounted"),
        spent=deliveries.c.spent + bindparam("more_spent"),
        sending_at=None,
        reason=bindparam("why"),
        doubt=bindparam("in_doubt"),
        receipt=bindparam("proof"),
        settled_at=bindparam("ended"),
    )
)


_pin = Prepared(insert(renderings).on_conflict_do_nothing())
_note_attempt = Prepared(insert(attempts), [column.name for column in attempts.c if column.name != "id"])


def claim(connection: Connection, wanted: Mapping[str, int], *, token: str, lease: float) -> list[Due]:
    """Claim up to so many lanes of each destination and return their heads."""
    good_until, moment = time.monotonic() + lease, now()
    until = moment + micros(lease)
    taken: list[int] = []
    for destination, most in wanted.items():
        found = _take.run(connection, of_destination=destination, moment=moment, most=most, token=token, until=until)
        taken += found.scalars()
    return _heads(connection, dict.fromkeys(taken, token), moment=moment, until=until, good_until=good_until)


def _heads(connection: Connection, held: Mapping[int, str], *, moment: int, until: int, good_until: float) -> list[Due]:
    """Return the heads of held lanes that are due; let the other lanes go until theirs is."""
    if not held:
        return []
    found: list[Due] = []
    let_go: list[dict[str, Any]] = []
    keep: list[dict[str, Any]] = []
    for row in _select_heads.run(connection, lane_ids=many(connection, held)):
        at = None if row.id is None else NEVER if row.state != DeliveryState.PENDING else row.due_at
        if at is None or at > moment:
            let_go.append({"of_id": row.lane, "to_holder": None, "at": at})
            continue
        keep.append({"of_id": row.lane, "token": held[row.lane], "until": until})
        found.append(
            Due(
                id=row.id,
                notification_id=row.notification_id,
                lane_id=row.lane,
                token=held[row.lane],
                lease_until=good_until,
                number=row.number,
                route=row.route,
                name=row.name,
                destination=row.destination,
                delivery_key=row.delivery_key,
                required=bool(row.required),
                attempts=row.attempts,
                spent=row.spent,
                in_doubt=row.sending_at is not None,
                rendered=row.rendered,
            )
        )
    _let_go.run_many(connection, let_go)
    _renew.run_many(connection, keep)
    return found


def renew(connection: Connection, held: Mapping[int, str], lease: float) -> dict[int, float]:
    """Renew leases; returns lane id -> new end by `time.monotonic` for those that were still held."""
    good_until, until = time.monotonic() + lease, now() + micros(lease)
    standing = _select_holders.run(connection, ids=many(connection, held))
    mine = [row.id for row in standing if row.holder == held[row.id]]
    _renew.run_many(connection, [{"of_id": id_, "token": held[id_], "until": until} for id_ in mine])
    return dict.fromkeys(mine, good_until)


def release(connection: Connection, held: Iterable[Due]) -> None:
    """Hand claimed lanes back without having sent anything; they are due at once."""
    moment = now()
    connection.execute(
        update(lanes)
        .where(lanes.c.id == bindparam("of_id"), lanes.c.holder == bindparam("of_token"))
        .values(holder=None, claimable_at=moment),
        [{"of_id": due.lane_id, "of_token": due.token} for due in held],
    )


def void_leases(connection: Connection) -> int:
    """Make everything claimable that a process which is gone held; returns how many lanes. Only for a lone process."""
    return connection.execute(
        update(lanes).where(lanes.c.holder.is_not(None)).values(holder=None, claimable_at=now())
    ).rowcount


def begin(connection: Connection, group: Sequence[Begin]) -> list[bool]:
    """Mark attempts as begun, with what will be sent; False where the lease is lost or the delivery has ended."""
    if not group:
        return []
    moment = now()
    standing = _standing(connection, group)
    allowed = []
    for one in group:
        row = standing.get(one.due.id)
        allowed.append(row is not None and row.holder == one.due.token and row.state == DeliveryState.PENDING)
    going = [one for one, ok in zip(group, allowed, strict=True) if ok]
    _begin.run_many(connection, [{"of_id": one.due.id, "attempt": one.attempt_id, "moment": moment} for one in going])
    _pin.run_many(
        connection,
        [{"delivery_id": one.due.id, "options": one.rendered} for one in going if one.rendered is not None],
    )
    return allowed


def _standing(connection: Connection, group: Sequence[Begin | Settlement]) -> dict[int, Any]:
    """Return how the deliveries of a group stand, and who holds their lanes."""
    return {
        row.id: row for row in _select_standing.run(connection, ids=many(connection, [one.due.id for one in group]))
    }


def settle(connection: Connection, group: Sequence[Settlement], *, lease: float) -> list[Settled]:
    """Settle what was claimed: the deliveries, their lanes, and the outcomes that follow."""
    if not group:
        return []
    good_until, moment = time.monotonic() + lease, now()
    standing = _standing(connection, group)
    accepted: list[Settlement] = []
    results: dict[int, Settled] = {}
    for one in group:
        row = standing.get(one.due.id)
        if row is not None and row.holder == one.due.token and row.state == DeliveryState.PENDING:
            accepted.append(one)
        else:
            mine = row is not None and one.attempt_id is not None and row.attempt_id == one.attempt_id
            results[one.due.id] = Settled(accepted=mine and row is not None and row.sending_at is None)
    _write(connection, accepted, moment)
    ended = {one.due.lane_id: one.due.token for one in accepted if one.state is not DeliveryState.PENDING}
    waiting = [
        {"of_id": one.due.lane_id, "to_holder": None, "at": one.due_at}
        for one in accepted
        if one.state is DeliveryState.PENDING
    ]
    _let_go.run_many(connection, waiting)
    until = moment + micros(lease)
    heads = _heads(connection, ended, moment=moment, until=until, good_until=good_until)
    following = {due.lane_id: due for due in heads}
    counting = {one.due.notification_id for one in accepted if one.due.required and one.due.lane_id in ended}
    outcomes = conclude(connection, counting, moment)
    for one in accepted:
        results[one.due.id] = Settled(
            accepted=True,
            next=following.get(one.due.lane_id),
            outcome=outcomes.get(one.due.notification_id) if one.due.required else None,
        )
    return [results[one.due.id] for one in group]


def _write(connection: Connection, group: Sequence[Settlement], moment: int) -> None:
    if not group:
        return
    rows = []
    for one in group:
        again = one.state is DeliveryState.PENDING
        rows.append(
            {
                "of_id": one.due.id,
                "to_state": one.state.value,
                "stays": again or one.blocks,
                "due": one.due_at,
                "uncounted": 0 if one.counted or one.attempt_id is None else 1,
                "more_spent": one.spent,
                "why": one.reason,
                "in_doubt": one.doubt,
                "proof": one.receipt,
                "ended": None if again else moment,
            }
        )
    _settle.run_many(connection, rows)
    history = [
        {
            "delivery_id": one.due.id,
            "number": one.due.attempts + 1,
            "ended_at": moment,
            "result": one.result,
            "reason": one.reason or "",
        }
        for one in group
        if one.result
    ]
    _note_attempt.run_many(connection, history)


def next_due(connection: Connection, destinations: Iterable[str]) -> dict[str, int]:
    """Return for each destination with work when its next lane can be claimed, in the store's time."""
    found = {name: _next_claimable.run(connection, of_destination=name).scalar() for name in destinations}
    return {name: at for name, at in found.items() if at is not None}
