"""Replaying: a delivery is sent again because a person said so. The rules, before the SQL:

- Given up or in doubt: sent again as pinned, under its old key. Rejected, skipped or dropped, or with ``render``:
  rendered anew with the routes loaded at the time, under a new key. A delivered one only with ``force``.
- It keeps its number, and with it its place in the lane. Once a later notification's delivery has been attempted it is
  refused, unless ``overtaken`` sends it to the end; so it is where a later one has ended and was deleted. Dead ones of
  one lane that are replayed by the same order do not stand in each other's way: they go again in their old order.
- A pending one is tried at once instead of when it is due; so is the fetch that it waits for, and those that come
  before that one.
- The outcome stays what it was until the replay has ended; if that changes it, it is reported again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, case, delete, exists, or_, select, text, update

from gateway.models import DeliveryState, Event, FetchState
from gateway.store.engine.transaction_time import ask
from gateway.store.operator.actions import ActionResult, Actor, being_sent, lock_their_lanes, note, open_lanes
from gateway.store.tables import attempts, deliveries, lanes, notifications, records, renderings
from gateway.store.work import attachments

_DELETED = 0
"""In place of the id of a delivery that is not there any more."""
_ORDERS = ("replayed", "dropped")
"""Words in the history of a delivery that are no ends of attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """An order to send deliveries again."""

    by: Actor
    render: bool = False
    """Render anew, under a new key."""
    refetch: bool = False
    """Fetch the record anew, too; implies ``render``."""
    force: bool = False
    """Delivered ones too."""
    overtaken: bool = False
    """Those that a later delivery has overtaken go to the end of their lane."""


def next_key(delivery_key: str) -> str:
    """Return the delivery key that follows one: the same whenever it is computed, as the first was."""
    return hashlib.blake2b(f"{delivery_key}\x1frendered anew".encode(), digest_size=16).hexdigest()


_last_result = (
    select(attempts.c.result)
    .where(attempts.c.delivery_id == deliveries.c.id, attempts.c.result.not_in(_ORDERS))
    .order_by(attempts.c.id.desc())
    .limit(1)
    .correlate(deliveries)
    .scalar_subquery()
)
_rendered = exists(select(renderings.c.delivery_id).where(renderings.c.delivery_id == deliveries.c.id))
_select = select(
    deliveries,
    notifications.c.notification_key,
    notifications.c.event,
    _last_result.label("last_result"),
    _rendered.label("is_rendered"),
).join_from(deliveries, notifications)


def replay(connection: Connection, ids: Collection[int], order: Replay) -> list[ActionResult]:
    """Send deliveries again; give those of one lane in one call, so that they keep their order."""
    _, moment = ask(connection)
    touched = lock_their_lanes(connection, ids)
    sending = being_sent(connection, touched, moment)
    statement = _select.where(deliveries.c.id.in_(ids)).order_by(deliveries.c.lane_id, deliveries.c.number)
    rows = connection.execute(statement).all()
    later = _attempted_later(connection, rows)
    results: list[ActionResult] = []
    going: list[tuple[Row[Any], bool]] = []
    for lane_id, of_lane in groupby(rows, attrgetter("lane_id")):
        judged = _judge(list(of_lane), later.get(lane_id, {}), sending.get(lane_id), order)
        going += [(row, to_end) for row, refused, to_end in judged if refused is None]
        results += [_told(row, refused, order, to_end=to_end) for row, refused, to_end in judged]
    for row, to_end in going:
        _send_again(connection, row, order, to_end=to_end, moment=moment)
    open_lanes(connection, {row.lane_id for row, _ in going} - sending.keys())
    _fetch_again(connection, [row for row, _ in going], refetch=order.refetch)
    return results


class _Later(NamedTuple):
    """A delivery behind others of its lane that was attempted."""

    number: int
    notification_id: int | None

    def overtakes(self, row: Row[Any]) -> bool:
        """Tell whether it brought a newer state; one of the same notification, on another way, did not."""
        return bool(self.number > row.number and self.notification_id != row.notification_id)


def _attempted_later(connection: Connection, rows: Sequence[Row[Any]]) -> dict[int, dict[int, _Later]]:
    """Return for each lane the deliveries behind the first of these that were attempted, by their ids.

    They are found by way of their record: those that ended stand in no index of their lane. One that retention has
    deleted shows only by its number, which the lane still knows, and stands under `_DELETED`.
    """
    firsts: dict[int, int] = {}
    for row in rows:
        firsts.setdefault(row.lane_id, row.id)
    first, its, other, behind = deliveries.alias(), notifications.alias(), notifications.alias(), deliveries.alias()
    found = connection.execute(
        select(behind.c.lane_id, behind.c.id, behind.c.number, behind.c.notification_id, behind.c.attempt_id)
        .select_from(
            first.join(its, its.c.id == first.c.notification_id)
            .join(other, (other.c.account == its.c.account) & (other.c.record_key == its.c.record_key))
            .join(behind, (behind.c.notification_id == other.c.id) & (behind.c.lane_id == first.c.lane_id))
        )
        .where(first.c.id.in_(list(firsts.values())), behind.c.number > first.c.number)
    )
    there: dict[int, int] = {}
    for row in rows:
        there[row.lane_id] = max(row.number, there.get(row.lane_id, 0))
    later: dict[int, dict[int, _Later]] = {}
    for lane_id, id_, number, notification_id, attempt_id in found:
        there[lane_id] = max(number, there[lane_id])
        if attempt_id is not None:
            later.setdefault(lane_id, {})[id_] = _Later(number, notification_id)
    last = select(lanes.c.id, lanes.c.last_number).where(lanes.c.id.in_(list(there)))
    for lane_id, number in connection.execute(last):
        if number > there[lane_id]:
            later.setdefault(lane_id, {})[_DELETED] = _Later(number, None)
    return later


def _judge(
    of_lane: Sequence[Row[Any]], later: dict[int, _Later], sent_now: int | None, order: Replay
) -> list[tuple[Row[Any], str | None, bool]]:
    """Return for each delivery of a lane why it is refused, if it is, and whether it goes to the end; in order."""
    judged: list[tuple[Row[Any], str | None, bool]] = []
    for row in reversed(of_lane):
        refused = _refusal(row, order, is_sent=row.id == sent_now)
        overtaking = [id_ for id_, one in later.items() if one.overtakes(row)]
        overtaken = bool(overtaking) and row.state != DeliveryState.PENDING
        if refused is None and overtaken and not order.overtaken:
            deleted = overtaking == [_DELETED]
            what = "has ended, and was deleted by retention" if deleted else "was attempted already"
            refused = f"a later delivery of its record {what}: `--overtaken` sends it all the same, behind it"
        if refused is None:
            later.pop(row.id, None)  # it goes again behind the earlier ones
        judged.append((row, refused, overtaken))
    return judged[::-1]


def _refusal(row: Row[Any], order: Replay, *, is_sent: bool) -> str | None:
    if row.state == DeliveryState.DELIVERED and not order.force:
        return "it was delivered: `--force` sends it once more"
    if is_sent:
        return "it is being sent at this moment: try again when that has ended"
    if row.state == DeliveryState.PENDING and row.sending_at is not None:
        return "an attempt of it was cut short and is about to be settled: try again in a moment"
    return None


def _is_rendered_anew(row: Row[Any], order: Replay) -> bool:
    if order.render or order.refetch:
        return True
    match row.state:
        case DeliveryState.PENDING | DeliveryState.DELIVERED:
            return False
        case DeliveryState.DEAD:
            return not row.is_rendered or row.last_result == "rejected"
    return True


def _told(row: Row[Any], refused: str | None, order: Replay, *, to_end: bool) -> ActionResult:
    if _is_rendered_anew(row, order):
        how = "rendered anew under a new key"
    else:
        how = "tried at once" if row.state == DeliveryState.PENDING else "sent again as it was, under its old key"
    return ActionResult(
        id=row.id,
        notification=row.notification_key,
        route=row.route,
        destination=row.destination,
        done=refused is None,
        text=refused or (f"{how}, at the end of its lane" if to_end else how),
    )


def _send_again(connection: Connection, row: Row[Any], order: Replay, *, to_end: bool, moment: int) -> None:
    values: dict[str, Any] = {"due_at": moment}
    if row.state != DeliveryState.PENDING:
        values |= {
            "state": DeliveryState.PENDING.value,
            "in_lane": True,
            "attempts": 0,
            "spent": 0,
            "sending_at": None,
            "alone_at": None,
            "reason": None,
            "reason_code": None,
            "reason_subject": None,
            "doubt": False,
            "receipt": None,
            "settled_at": None,
        }
    if to_end:
        values["number"] = _take_last_number(connection, row.lane_id, moment)
    if _is_rendered_anew(row, order):
        values["delivery_key"] = next_key(row.delivery_key)
        connection.execute(delete(renderings).where(renderings.c.delivery_id == row.id))
    connection.execute(update(deliveries).where(deliveries.c.id == row.id).values(values))
    said = str(order.by)
    if row.state != DeliveryState.DEAD:  # why it died stands in its history already
        said += f"; it was {row.state}"
    if "delivery_key" in values:
        said += f"; rendered anew, before its key was {row.delivery_key}"
    note(connection, row.id, tries=row.attempts, what="replayed", text=said, moment=moment)


def _take_last_number(connection: Connection, lane_id: int, moment: int) -> int:
    last = connection.execute(select(lanes.c.last_number).where(lanes.c.id == lane_id)).scalar_one()
    number: int = max(last + 1, moment)
    connection.execute(update(lanes).where(lanes.c.id == lane_id).values(last_number=number, used_at=moment))
    return number


def _fetch_again(connection: Connection, rows: Iterable[Row[Any]], *, refetch: bool) -> None:
    """Make the records due that were given up, or all; one that is kept stays in use until a new one has come."""
    ids = {row.notification_id for row in rows if row.event != Event.DELETE}
    if not ids:
        return
    column = notifications.c
    is_pinned = exists(select(records.c.id).where(records.c.notification_id == column.id))
    statement = update(notifications).where(column.id.in_(ids))
    state: Any = FetchState.DUE.value
    if refetch:
        statement = statement.where(column.fetch_state != FetchState.NONE.value)
    else:
        statement = statement.where(column.fetch_state == FetchState.GIVEN_UP.value)
        state = case((is_pinned, FetchState.PINNED.value), else_=FetchState.DUE.value)
    attachments.try_again(connection, ids, afresh=refetch)
    _fetch_at_once(connection, ids)
    fresh = {"fetch_state": state, "fetch_attempts": 0, "fetch_spent": 0, "fetch_reason": None, "fetch_due_at": None}
    connection.execute(statement.values(fresh))


def _fetch_at_once(connection: Connection, ids: Collection[int]) -> None:
    """Let no fetch wait that one for these notifications needs: its own, and those for earlier ones of the record."""
    column, wanted = notifications.c, notifications.alias("wanted")
    before = exists(wanted.c.id).where(
        wanted.c.id.in_(ids),
        wanted.c.account == column.account,
        wanted.c.record_key == column.record_key,
        wanted.c.id > column.id,
    )
    connection.execute(
        update(notifications)
        .where(
            column.fetch_state == text("'due'"),  # as it stands in the index of what is due
            column.fetch_holder.is_(None),
            column.fetch_due_at.is_not(None),
            or_(column.id.in_(ids), before),
        )
        .values(fetch_due_at=None)
    )
