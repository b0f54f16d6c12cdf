"""The queue: claiming lanes, beginning attempts, settling them. The contract, before the SQL:

- Only the head of a lane is ever claimed, by claiming the lane: ``holder`` is the claim's token, and ``claimable_at``
  the end of its lease. A lease that lapses makes the lane claimable again and changes nothing else; the next claim
  tells that it was not given back.
- What was held in two deaths in a row is a suspect: a claim takes one at most, and marks it in its transaction.
- An attempt begins with a committed mark (and what will be sent, the first time) while the lease is still held. Whoever
  finds the mark on a lane that it claims knows that an attempt of unknown end was made.
- Only the holder settles. A settlement that was committed already is accepted again, by its attempt id.
- Settling a delivery sets its notification's outcome when it was the last one that counts, in the same transaction.
- The next delivery of the lane goes to the holder at once, under the same lease, or the lane is let go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, bindparam, case, literal_column, null, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.jobs import Begin as Begin
from gateway.jobs import Due as Due
from gateway.jobs import Settled as Settled
from gateway.jobs import Settlement as Settlement
from gateway.models import DeliveryState
from gateway.store.engine.bulk_sql import AnyOf, Prepared, as_text, gathered, given, many, rows_of, scalar_of
from gateway.store.engine.locks import lock_lanes
from gateway.store.engine.transaction_time import NEVER, SECOND, ask, from_store, micros
from gateway.store.tables import attempts, deliveries, lanes, renderings
from gateway.store.work.lane_leases import extend
from gateway.store.work.outcome import conclude

SUSPECT = 2
"""So many deaths in a row make what was held in each of them a suspect: it is tried apart from other suspects."""
TURN = SECOND // 4
"""How much later each of the suspects is looked at again that found another one being tried."""

_HEAD = (
    select(deliveries.c.id)
    .where(deliveries.c.lane_id == lanes.c.id, deliveries.c.in_lane)
    .order_by(deliveries.c.number)
    .limit(1)
    .correlate(lanes)
    .scalar_subquery()
)
_HEAD_COLUMNS = (
    lanes.c.id,
    deliveries.c.id,
    deliveries.c.notification_id,
    deliveries.c.number,
    deliveries.c.route,
    deliveries.c.name,
    deliveries.c.destination,
    deliveries.c.delivery_key,
    deliveries.c.required,
    deliveries.c.state,
    deliveries.c.due_at,
    deliveries.c.attempts,
    deliveries.c.spent,
    deliveries.c.sending_at,
    deliveries.c.deaths,
    deliveries.c.alone_at,
)
_HEAD_NAMES = [column.name for column in _HEAD_COLUMNS[2:]]
_select_heads = Prepared(
    gathered(
        *_HEAD_COLUMNS,
        as_text(renderings.c.options),
        source=lanes.outerjoin(deliveries, deliveries.c.id == _HEAD).outerjoin(
            renderings, renderings.c.delivery_id == deliveries.c.id
        ),
    ).where(AnyOf(lanes.c.id, "lane_ids"))
)
_select_standing = Prepared(
    gathered(
        deliveries.c.id,
        deliveries.c.state,
        deliveries.c.attempt_id,
        deliveries.c.sending_at,
        lanes.c.holder,
        source=deliveries.join(lanes, lanes.c.id == deliveries.c.lane_id),
    ).where(AnyOf(deliveries.c.id, "ids"))
)
_claimable = (
    select(lanes.c.id, lanes.c.holder)
    .where(lanes.c.destination == bindparam("of_destination"), lanes.c.claimable_at <= bindparam("moment"))
    .order_by(lanes.c.claimable_at)
    .limit(bindparam("most"))
    .with_for_update(key_share=True, skip_locked=True)
    .subquery("claimable")
)
_select_claimable = Prepared(gathered(_claimable.c.id, _claimable.c.holder, source=_claimable))
_next_claimable = Prepared(
    select(lanes.c.claimable_at)
    .where(lanes.c.destination == bindparam("of_destination"), lanes.c.claimable_at.is_not(None))
    .order_by(lanes.c.claimable_at)
    .limit(1)
)
_take = Prepared(
    update(lanes).where(AnyOf(lanes.c.id, "ids")).values(holder=bindparam("token"), claimable_at=bindparam("until"))
)
_let_go_of = given(of_id=lanes.c.id, at=lanes.c.claimable_at)
_let_go = Prepared(
    update(lanes).where(lanes.c.id == _let_go_of.c.of_id).values(holder=None, claimable_at=_let_go_of.c.at)
)
_begun = given(of_id=deliveries.c.id, attempt=deliveries.c.attempt_id)
_begin = Prepared(
    update(deliveries)
    .where(deliveries.c.id == _begun.c.of_id)
    .values(attempt_id=_begun.c.attempt, attempts=deliveries.c.attempts + 1, sending_at=bindparam("moment"))
)
_mark_alone = Prepared(update(deliveries).where(AnyOf(deliveries.c.id, "ids")).values(alone_at=bindparam("moment")))
_settled = given(
    of_id=deliveries.c.id,
    state=deliveries.c.state,
    in_lane=deliveries.c.in_lane,
    due_at=deliveries.c.due_at,
    uncounted=deliveries.c.attempts,
    untried=deliveries.c.attempts,
    cut_short=deliveries.c.attempts,
    spent=deliveries.c.spent,
    reason=deliveries.c.reason,
    reason_code=deliveries.c.reason_code,
    reason_subject=deliveries.c.reason_subject,
    doubt=deliveries.c.doubt,
    receipt=deliveries.c.receipt,
    settled_at=deliveries.c.settled_at,
)
_settle = Prepared(
    update(deliveries)
    .where(deliveries.c.id == _settled.c.of_id)
    .values(
        state=_settled.c.state,
        in_lane=_settled.c.in_lane,
        due_at=_settled.c.due_at,
        attempts=deliveries.c.attempts - _settled.c.uncounted,
        spent=deliveries.c.spent + _settled.c.spent,
        sending_at=case((_settled.c.untried == literal_column("1"), deliveries.c.sending_at)),
        deaths=case(
            (_settled.c.cut_short == literal_column("1"), deliveries.c.deaths + literal_column("1")),
            (_settled.c.untried == literal_column("1"), deliveries.c.deaths),
            else_=literal_column("0"),
        ),
        alone_at=null(),
        reason=_settled.c.reason,
        reason_code=_settled.c.reason_code,
        reason_subject=_settled.c.reason_subject,
        doubt=_settled.c.doubt,
        receipt=_settled.c.receipt,
        settled_at=_settled.c.settled_at,
    )
)
_pin = Prepared(insert(renderings).on_conflict_do_nothing())
_note_attempt = Prepared(insert(attempts), [column.name for column in attempts.c if column.name != "id"])


def claim(
    connection: Connection, wanted: Mapping[str, int], *, token: str, lease: float, alone: bool = True
) -> list[Due]:
    """Claim up to so many lanes of each destination and return their heads.

    Of those that are suspect one at most is among them, marked, and none without ``alone``. A lane whose lease lapsed
    was not given back: its head says so by ``left_by``.
    """
    asked_at, moment = ask(connection)
    good_until, until = asked_at + lease, moment + micros(lease)
    taken: dict[int, str | None] = {}
    for destination, most in wanted.items():
        found = _select_claimable.run(connection, of_destination=destination, moment=moment, most=most)
        taken |= dict(rows_of(found))
    if not taken:
        return []
    _take.run(connection, ids=many(connection, taken), token=token, until=until)
    held = dict.fromkeys(taken, token)
    return _heads(
        connection, held, moment=moment, until=until, good_until=good_until, left_by=taken, suspects=1 if alone else 0
    )


def _heads(
    connection: Connection,
    held: Mapping[int, str],
    *,
    moment: int,
    until: int,
    good_until: float,
    left_by: Mapping[int, str | None] = MappingProxyType({}),
    suspects: int = 0,
) -> list[Due]:
    """Return the heads of held lanes that are due; let the other lanes go until theirs is, or its turn as a suspect."""
    if not held:
        return []
    found: list[Due] = []
    let_go: list[dict[str, Any]] = []
    alone: list[int] = []
    turn = moment
    for lane, id_, *columns, rendered in rows_of(_select_heads.run(connection, lane_ids=many(connection, held))):
        head = dict(zip(_HEAD_NAMES, columns, strict=True))
        at = None if id_ is None else NEVER if head["state"] != DeliveryState.PENDING else head["due_at"]
        if at is None or at > moment:
            let_go.append({"of_id": lane, "at": at})
            continue
        left = left_by.get(lane)
        goes_alone = left is None and head["deaths"] >= SUSPECT
        if goes_alone and len(alone) == suspects:
            turn += TURN
            let_go.append({"of_id": lane, "at": turn})
            continue
        if goes_alone:
            alone.append(id_)
        found.append(
            Due(
                id=id_,
                notification_id=head["notification_id"],
                lane_id=lane,
                token=held[lane],
                lease_until=good_until,
                number=head["number"],
                route=head["route"],
                name=head["name"],
                destination=head["destination"],
                delivery_key=head["delivery_key"],
                required=bool(head["required"]),
                attempts=head["attempts"],
                spent=head["spent"],
                in_doubt=head["sending_at"] is not None,
                deaths=head["deaths"],
                alone=goes_alone or head["alone_at"] is not None,
                left_by=left,
                rendered=None if rendered is None else rendered.encode(),
            )
        )
    if alone:
        _mark_alone.run(connection, ids=many(connection, alone), moment=moment)
    _let_go.run_many(connection, let_go)
    extend(connection, [{"of_id": due.lane_id, "token": due.token} for due in found], until)
    return found


def lock(connection: Connection, group: Iterable[Begin | Settlement]) -> None:
    """Lock the lanes of all that a transaction begins and settles, before either: in two steps they could cross."""
    lock_lanes(connection, {one.due.lane_id for one in group})


def begin(connection: Connection, group: Sequence[Begin]) -> list[bool]:
    """Mark attempts as begun, with what will be sent; False where the lease is lost or the delivery has ended.

    `lock` comes first. One whose mark is there already was begun by a transaction of unknown end, and counts once.
    """
    if not group:
        return []
    _, moment = ask(connection)
    standing = _standing(connection, group)
    allowed = []
    for one in group:
        row = standing.get(one.due.id)
        allowed.append(row is not None and row.is_held_by(one.due.token))
    going = [one for one, ok in zip(group, allowed, strict=True) if ok and not standing[one.due.id].has_begun(one)]
    marks = [{"of_id": one.due.id, "attempt": one.attempt_id} for one in going]
    _begin.run_many(connection, marks, moment=moment)
    cut_short = [(one.due, began) for one in going if (began := standing[one.due.id].sending_at) is not None]
    _note_attempt.run_many(connection, [_cut_short(due, began, moment) for due, began in cut_short])
    _pin.run_many(
        connection,
        [{"delivery_id": one.due.id, "options": one.rendered} for one in going if one.rendered is not None],
    )
    return allowed


def _cut_short(due: Due, began: int, moment: int) -> dict[str, Any]:
    """Return the row that tells of an attempt before this one whose end nobody knows."""
    reason = (
        f"it began at {from_store(began):%Y-%m-%d %H:%M:%S} UTC, and its end is not known: the gateway ended or lost "
        "the store meanwhile. It is repeated"
    )
    return {
        "delivery_id": due.id,
        "number": due.attempts,
        "ended_at": moment,
        "result": "uncertain",
        "reason": reason,
    }


@dataclass(frozen=True, slots=True)
class _Standing:
    """How a delivery stands, and who holds its lane."""

    state: str
    attempt_id: int | None
    sending_at: int | None
    holder: str | None

    def is_held_by(self, token: str) -> bool:
        """Tell whether whoever has this token may go on with it."""
        return self.holder == token and self.state == DeliveryState.PENDING

    def has_begun(self, one: Begin) -> bool:
        """Tell whether the mark of this attempt is there."""
        return self.attempt_id == one.attempt_id and self.sending_at is not None


def _standing(connection: Connection, group: Sequence[Begin | Settlement]) -> dict[int, _Standing]:
    rows = rows_of(_select_standing.run(connection, ids=many(connection, [one.due.id for one in group])))
    return {id_: _Standing(*columns) for id_, *columns in rows}


def settle(connection: Connection, group: Sequence[Settlement], *, lease: float) -> list[Settled]:
    """Settle what was claimed, after `lock`: the deliveries, their lanes, and the outcomes that follow."""
    if not group:
        return []
    asked_at, moment = ask(connection)
    standing = _standing(connection, group)
    accepted: list[Settlement] = []
    results: dict[int, Settled] = {}  # by settlement: of one delivery there may be another, of a lease that was lost
    for one in group:
        row = standing.get(one.due.id)
        if row is not None and row.is_held_by(one.due.token):
            accepted.append(one)
        else:
            mine = row is not None and one.attempt_id is not None and row.attempt_id == one.attempt_id
            results[id(one)] = Settled(accepted=mine and row is not None and row.sending_at is None)
    _write(connection, accepted, moment)
    ended = {one.due.lane_id: one.due.token for one in accepted if one.state is not DeliveryState.PENDING}
    waiting = [{"of_id": one.due.lane_id, "at": one.due_at} for one in accepted if one.state is DeliveryState.PENDING]
    _let_go.run_many(connection, waiting)
    until = moment + micros(lease)
    heads = _heads(connection, ended, moment=moment, until=until, good_until=asked_at + lease)
    following = {due.lane_id: due for due in heads}
    counting = {one.due.notification_id for one in accepted if one.due.required and one.due.lane_id in ended}
    outcomes = conclude(connection, counting, moment)
    for one in accepted:
        results[id(one)] = Settled(
            accepted=True,
            next=following.get(one.due.lane_id),
            outcome=outcomes.get(one.due.notification_id) if one.due.required else None,
        )
    return [results[id(one)] for one in group]


def _write(connection: Connection, group: Sequence[Settlement], moment: int) -> None:
    if not group:
        return
    rows = []
    for one in group:
        again = one.state is DeliveryState.PENDING
        rows.append(
            {
                "of_id": one.due.id,
                "state": one.state.value,
                "in_lane": again or one.blocks,
                "due_at": one.due_at,
                # An earlier attempt stays in doubt.
                "untried": 1 if again and one.attempt_id is None and not one.result else 0,
                "cut_short": 1 if one.cut_short else 0,
                "uncounted": 0 if one.counted or one.attempt_id is None else 1,
                "spent": one.spent,
                "reason": one.reason,
                "reason_code": None if one.code is None else one.code.value,
                "reason_subject": one.subject,
                "doubt": one.doubt,
                "receipt": one.receipt,
                "settled_at": None if again else moment,
            }
        )
    _settle.run_many(connection, rows)
    history = [
        {
            "delivery_id": one.due.id,
            "number": one.due.attempts + (0 if one.attempt_id is None else 1),  # rejected before it was begun
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
    found = {name: scalar_of(_next_claimable.run(connection, of_destination=name)) for name in destinations}
    return {name: at for name, at in found.items() if at is not None}
