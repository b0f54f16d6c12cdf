"""Keeping: a notification and its deliveries with their places in their lanes, in one transaction.

The rules, before the SQL:

- Uniqueness of web service id and notification key is the store's: insert and see, never look then insert.
- A lane's next number is ``max(last + 1, microseconds since 1970)``, taken under the lane's row lock.
- Lanes that the insert finds empty can be taken at once, under a lease; an occupied one never.
- An immediate notification that finds a lane of a delivery that counts occupied becomes delayed.
- A repeat changes nothing but a counter, and owes a report by PUT if it cannot be told the outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, false, func, true, update
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.models import AlarmKind, DeliveryState, FetchState, Mode, Notification, Outcome, ReportState
from gateway.store.engine.bulk_sql import AnyOf, Greatest, Prepared, gathered, many, rows_of
from gateway.store.engine.ids import Ids
from gateway.store.engine.transaction_time import ask, micros, to_store
from gateway.store.tables import deliveries, lanes, notifications
from gateway.store.work import alarms
from gateway.store.work.outcome import ANSWER_MARK


@dataclass(slots=True, kw_only=True)
class NewDelivery:
    """A delivery that is to be kept."""

    route: str
    name: str
    destination: str
    lane: str
    delivery_key: str
    required: bool
    take: bool
    """Take the lane's lease with the keeping, if the lane is empty."""


@dataclass(slots=True, kw_only=True)
class Keep:
    """A notification that is to be kept, with everything that was decided about it."""

    notification: Notification
    account: str
    webservice: str | None = None
    form: str | None = None
    project: str | None = None
    mode: Mode
    reason: str
    matched: bool = True
    alarm: str | None = None
    """The text of the alarm to raise with it (unmatched)."""
    outcome: Outcome | None = None
    """Known at once: nothing counts, or ``unmatched`` says so."""
    report: bool = True
    """Whether doForms is to be told the outcome by PUT when the answer cannot."""
    fetch: bool = False
    """Whether a delivery needs the record, so that it must be fetched."""
    deliveries: tuple[NewDelivery, ...] = ()


@dataclass(slots=True, kw_only=True)
class KeptDelivery:
    """A delivery that was kept; ``token`` is set if its lane was taken with the keeping."""

    id: int
    lane_id: int
    number: int
    token: str | None
    new: NewDelivery


@dataclass(slots=True, kw_only=True)
class Kept:
    """What the store made of a notification."""

    id: int
    repeat: bool
    outcome: Outcome | None
    mode: Mode
    reason: str
    deliveries: tuple[KeptDelivery, ...] = ()
    lease_until: float = 0.0
    """When the lease on the lanes taken ends, by this process' `time.monotonic`."""


_GIVEN = (
    "id",
    "webservice_id",
    "notification_key",
    "account",
    "webservice",
    "form",
    "project",
    "event",
    "status",
    "customer_key",
    "submission_key",
    "dispatch_key",
    "record_key",
    "created_at",
    "received_at",
    "body",
    "mode",
    "mode_reason",
    "matched",
    "outcome",
    "outcome_at",
    "answer_open",
    "report_state",
    "report_due_at",
    "fetch_state",
)
"""Columns of a notification that are given; the others begin with their defaults."""

_insert_notifications = Prepared(
    insert(notifications).on_conflict_do_nothing(
        index_elements=[notifications.c.webservice_id, notifications.c.notification_key]
    ),
    _GIVEN,
)
_select_inserted = Prepared(gathered(notifications.c.id, source=notifications).where(AnyOf(notifications.c.id, "ids")))
_count_repeat = (
    update(notifications)
    .where(
        notifications.c.webservice_id == bindparam("of_webservice"),
        notifications.c.notification_key == bindparam("of_key"),
    )
    .values(
        repeats=notifications.c.repeats + 1,
        put_owed=case((notifications.c.outcome.is_(None), true()), else_=notifications.c.put_owed),
    )
    .returning(notifications.c.id, notifications.c.outcome, notifications.c.mode, notifications.c.mode_reason)
)
_new_lane = insert(lanes)
_place_in_lanes = Prepared(
    _new_lane.on_conflict_do_update(
        index_elements=[lanes.c.key],
        set_={
            "last_number": Greatest(
                lanes.c.last_number + (_new_lane.excluded.last_number - _new_lane.excluded.used_at + 1),
                _new_lane.excluded.last_number,
            ),
            "used_at": _new_lane.excluded.used_at,
            "claimable_at": func.coalesce(lanes.c.claimable_at, _new_lane.excluded.claimable_at),
            "holder": case((lanes.c.claimable_at.is_(None), _new_lane.excluded.holder), else_=lanes.c.holder),
        },
    ),
    ["key", "destination", "last_number", "used_at", "claimable_at", "holder"],
)
_select_lanes = Prepared(
    gathered(lanes.c.id, lanes.c.key, lanes.c.last_number, lanes.c.holder, source=lanes).where(
        AnyOf(lanes.c.key, "keys")
    )
)
_insert_deliveries = Prepared(
    insert(deliveries),
    [
        "id",
        "notification_id",
        "lane_id",
        "number",
        "route",
        "name",
        "destination",
        "delivery_key",
        "required",
        "state",
        "due_at",
    ],
)
_make_delayed = (
    update(notifications)
    .where(notifications.c.id == bindparam("of_id"))
    .values(mode=Mode.DELAYED.value, mode_reason=bindparam("why"), answer_open=False)
)


@dataclass(slots=True)
class _LanePlace:
    """A lane that a group touches."""

    destination: str
    take: bool
    count: int = 0
    id: int = 0
    next_number: int = 0
    token: str | None = None


def keep(connection: Connection, group: Sequence[Keep], *, ids: Ids, token: str, lease: float) -> list[Kept]:
    """Keep a group of notifications; ``token`` must be unique to this call.

    The order of the locks is the same for every group: notifications that are new by key, then lanes by key, then
    notifications that were repeated by key.
    """
    asked_at, moment = ask(connection)
    given = ids.next(connection, notifications, len(group))
    rows = [_row(item, id_, moment) for item, id_ in zip(group, given, strict=True)]
    made = _insert_notifications.run_many(connection, sorted(rows, key=itemgetter(1, 2)))
    fresh = {id(item): id_ for item, id_ in zip(group, given, strict=True)}
    if made < len(group):  # there are repeats among them
        inserted = {id_ for (id_,) in rows_of(_select_inserted.run(connection, ids=many(connection, given)))}
        fresh = {item: id_ for item, id_ in fresh.items() if id_ in inserted}
    new = [(fresh[id(item)], item) for item in group if id(item) in fresh]
    kept = _place(connection, new, ids=ids, moment=moment, token=token, lease=lease, good_until=asked_at + lease)
    _raise_alarms(connection, [item for item in group if item.alarm and id(item) in fresh])
    repeats = [item for item in group if id(item) not in fresh]
    found = {id(item): _repeat(connection, item) for item in sorted(repeats, key=_by_key)}
    return [kept[fresh[id(item)]] if id(item) in fresh else found[id(item)] for item in group]


def add_deliveries(connection: Connection, notification_id: int, item: Keep, *, ids: Ids) -> Kept:
    """Keep deliveries of a notification that was kept before, at the end of their lanes; none is taken."""
    new = [(notification_id, item)]
    return _place(connection, new, ids=ids, moment=ask(connection)[1], token="", lease=0.0, good_until=0.0)[  # nosec B106
        notification_id
    ]


def find_repeat(connection: Connection, item: Keep) -> Kept | None:
    """Answer a repeat without keeping anything new: what remains possible when the backlog is full."""
    row = connection.execute(
        _count_repeat, {"of_webservice": item.notification.webservice_id, "of_key": item.notification.key}
    ).first()
    return None if row is None else as_repeat(row)


def _raise_alarms(connection: Connection, unmatched: Sequence[Keep]) -> None:
    """Raise an alarm for each declared web service, and one for all others: their ids are whatever was sent."""
    texts: dict[str, list[str]] = {}
    for item in unmatched:
        subject = alarms.UNDECLARED if item.webservice is None else item.notification.webservice_id
        texts.setdefault(subject, []).append(item.alarm or "")
    for subject, told in sorted(texts.items()):  # alarms are rows that others raise too
        alarms.raise_alarm(connection, AlarmKind.UNMATCHED, subject, told[-1], times=len(told))


def _by_key(item: Keep) -> tuple[str, str]:
    return item.notification.webservice_id, item.notification.key


def _repeat(connection: Connection, item: Keep) -> Kept:
    repeat = find_repeat(connection, item)
    assert repeat is not None, "the insert met a row that is not there"
    return repeat


def as_repeat(row: Any) -> Kept:
    """Return what a repeat is told, from the row of the notification that it repeats."""
    outcome = None if row.outcome is None else Outcome(row.outcome)
    return Kept(id=row.id, repeat=True, outcome=outcome, mode=Mode(row.mode), reason=row.mode_reason)


def _row(item: Keep, id_: int, moment: int) -> tuple[Any, ...]:
    """Return what is given of a notification, in the order of `_GIVEN`."""
    notification = item.notification
    report = ReportState.OPEN if item.report else ReportState.NONE
    return (
        id_,
        notification.webservice_id,
        notification.key,
        item.account,
        item.webservice,
        item.form,
        item.project,
        notification.event.value,
        notification.status,
        notification.customer_key,
        notification.submission_key,
        notification.dispatch_key,
        notification.record_key,
        to_store(notification.created),
        to_store(notification.received),
        notification.body,
        item.mode.value,
        item.reason,
        item.matched,
        None if item.outcome is None else item.outcome.value,
        None if item.outcome is None else moment,
        item.outcome is not None or item.mode is Mode.IMMEDIATE,
        report.value,
        moment + micros(ANSWER_MARK) if item.outcome is not None and item.report else None,
        (FetchState.DUE if item.fetch else FetchState.NONE).value,
    )


def _place(
    connection: Connection,
    new: Sequence[tuple[int, Keep]],
    *,
    ids: Ids,
    moment: int,
    token: str,
    lease: float,
    good_until: float,
) -> dict[int, Kept]:
    base = ids.number(connection, moment)
    places = _lock_lanes(connection, new, moment=moment, base=base, token=token, until=moment + micros(lease))
    given = iter(ids.next(connection, deliveries, sum(len(item.deliveries) for _, item in new)))
    rows: list[tuple[Any, ...]] = []
    made: dict[int, list[KeptDelivery]] = {}
    for notification_id, item in new:
        made[notification_id] = []
        for one in item.deliveries:
            place, id_ = places[one.lane], next(given)
            number, held = place.next_number, place.token
            place.next_number, place.token = number + 1, None  # only the first of a lane stands at its head
            where = (one.route, one.name, one.destination, one.delivery_key, one.required)
            rows.append((id_, notification_id, place.id, number, *where, DeliveryState.PENDING.value, moment))
            made[notification_id].append(KeptDelivery(id=id_, lane_id=place.id, number=number, token=held, new=one))
    _insert_deliveries.run_many(connection, rows)
    kept = {
        notification_id: Kept(
            id=notification_id,
            repeat=False,
            outcome=item.outcome,
            mode=item.mode,
            reason=item.reason,
            deliveries=tuple(made[notification_id]),
            lease_until=good_until,
        )
        for notification_id, item in new
    }
    return _delay_behind_others(connection, kept)


def _lock_lanes(
    connection: Connection, new: Sequence[tuple[int, Keep]], *, moment: int, base: int, token: str, until: int
) -> dict[str, _LanePlace]:
    places: dict[str, _LanePlace] = {}
    for _, item in new:
        for delivery in item.deliveries:
            place = places.setdefault(delivery.lane, _LanePlace(delivery.destination, delivery.take))
            place.count += 1
    if not places:
        return places
    rows = [
        (key, place.destination, base + place.count - 1, base, *((until, token) if place.take else (moment, None)))
        for key, place in sorted(places.items())
    ]
    _place_in_lanes.run_many(connection, rows)
    for id_, key, last_number, holder in rows_of(_select_lanes.run(connection, keys=many(connection, places))):
        place = places[key]
        place.id = id_
        place.next_number = last_number - place.count + 1
        place.token = token if holder == token else None
    return places


def _delay_behind_others(connection: Connection, kept: dict[int, Kept]) -> dict[int, Kept]:
    late: list[dict[str, Any]] = []
    for id_, one in kept.items():
        if one.mode is not Mode.IMMEDIATE:
            continue
        waiting = [delivery.new.name for delivery in one.deliveries if delivery.new.required and not delivery.token]
        if waiting:
            why = f"an earlier delivery of the same record still waits at {waiting[0]!r}"
            late.append({"of_id": id_, "why": why})
            kept[id_] = replace(one, mode=Mode.DELAYED, reason=why)
    if late:
        connection.execute(_make_delayed, late)
    return kept


def mark_answered(connection: Connection, notification_id: int, outcome: Outcome | None) -> None:
    """Note what the request was told: the outcome, or nothing (an empty 200), which makes the report due.

    Passing the outcome means that its answer was written while doForms was still connected.
    """
    row, (_, moment) = notifications.c, ask(connection)
    if outcome is None:
        values: dict[str, Any] = {
            "report_due_at": case(
                (and_(row.outcome.is_not(None), row.report_state == ReportState.OPEN.value), moment),
                else_=row.report_due_at,
            ),
            "put_owed": True,
        }
    else:
        told = and_(row.report_state == ReportState.OPEN.value, row.put_owed == false())
        owed = and_(row.report_state == ReportState.OPEN.value, row.put_owed == true())
        values = {
            "report_state": case((told, ReportState.ANSWERED.value), else_=row.report_state),
            "report_due_at": case((told, None), (owed, moment), else_=row.report_due_at),
        }
    connection.execute(
        update(notifications)
        .where(row.id == notification_id)
        .values(answer="" if outcome is None else outcome.value, answer_open=False, **values)
    )
