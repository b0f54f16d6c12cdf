"""Checks the store: queries that find what must never be, and how it is mended.

The gateway's own transactions never leave any of this behind. A finding means that another tool wrote into the store,
that a disk or a backup was damaged, or that there is a bug. Everything is read in one transaction, which sees one
moment of the store, so that a gateway at work gives no false alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, or_, select

from gateway.models import DeliveryState, Outcome, ReportState
from gateway.store.engine.bulk_sql import AnyOf, many
from gateway.store.engine.transaction_time import SECOND, ask
from gateway.store.operator.actions import head_due, open_lanes
from gateway.store.operator.impossible_states import STATES
from gateway.store.operator.inconsistency import Kind, finder, put
from gateway.store.tables import attempts, deliveries, lanes, notifications, records, renderings
from gateway.store.work.outcome import conclude

_SHOWN = 100
"""Findings of one kind that are told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inconsistency:
    """One kind of inconsistency that was found."""

    name: str
    means: str
    remedy: str
    count: int
    examples: Sequence[str]
    mendable: bool
    mended: bool = False


def inspect(connection: Connection) -> list[Inconsistency]:
    """Return what does not hold."""
    return [*_damage(connection), *(_told(kind, found) for kind in KINDS if (found := kind.find(connection)))]


def _damage(connection: Connection) -> list[Inconsistency]:
    """Return what SQLite finds wrong with its file; PostgreSQL looks after its own."""
    if connection.dialect.name != "sqlite":
        return []
    said = [row[0] for row in connection.exec_driver_sql("PRAGMA quick_check") if row[0] != "ok"]
    damaged = Inconsistency(
        name="damaged file",
        means="The file of the store is damaged, by its disk or by a copy that was not made by `store backup`.",
        remedy="Restore it from a backup (docs/store.md).",
        count=len(said),
        examples=said,
        mendable=False,
    )
    return [damaged] if said else []


def mend(connection: Connection) -> list[Inconsistency]:
    """Put right what can be; returns what was found, and whether it was mended. For a transaction that writes.

    Nobody else writes meanwhile, so that what was found is still so when it is mended.
    """
    if connection.dialect.name != "sqlite":  # which gives a writer the whole file
        connection.exec_driver_sql("LOCK TABLE notifications, lanes, deliveries IN SHARE ROW EXCLUSIVE MODE")
    told = _damage(connection)
    for kind in KINDS:
        found = kind.find(connection)
        if not found:
            continue
        if kind.mend is not None:
            kind.mend(connection, [id_ for id_, _ in found])
        told.append(_told(kind, found, mended=kind.mend is not None))
    return told


def _told(kind: Kind, found: Sequence[tuple[int, str]], *, mended: bool = False) -> Inconsistency:
    return Inconsistency(
        name=kind.name,
        means=kind.means,
        remedy=kind.remedy,
        count=len(found),
        examples=[called for _, called in found[:_SHOWN]],
        mendable=kind.mend is not None,
        mended=mended,
    )


_in_it = and_(deliveries.c.lane_id == lanes.c.id, deliveries.c.in_lane)
_of_it = deliveries.c.notification_id == notifications.c.id
_pending = deliveries.c.state == DeliveryState.PENDING.value
_counts = and_(_of_it, deliveries.c.required)
_bad = deliveries.c.state.in_((DeliveryState.DEAD.value, DeliveryState.DROPPED.value))
_notification = (notifications.c.id, notifications.c.notification_key)
_delivery = (deliveries.c.id, deliveries.c.delivery_key)


def _count_on(connection: Connection, ids: Sequence[int]) -> None:
    highest = select(func.max(deliveries.c.number)).where(deliveries.c.lane_id == lanes.c.id).scalar_subquery()
    put(connection, lanes, ids, last_number=highest)


def _out_of_lane(connection: Connection, ids: Sequence[int]) -> None:
    put(connection, deliveries, ids, in_lane=False)


def _judge(connection: Connection, ids: Sequence[int]) -> None:
    conclude(connection, ids, ask(connection)[1])


def _no_report(connection: Connection, ids: Sequence[int]) -> None:
    put(connection, notifications, ids, report_due_at=None, report_holder=None)


def _report(connection: Connection, ids: Sequence[int]) -> None:
    put(connection, notifications, ids, report_due_at=ask(connection)[1])


def _delete_from(table: Table, key: str = "id") -> Callable[[Connection, Sequence[int]], None]:
    def deleted(connection: Connection, ids: Sequence[int]) -> None:
        connection.execute(delete(table).where(AnyOf(table.c[key], "ids")), {"ids": many(connection, ids)})

    return deleted


def _orphans(table: Table, key: str, parent: Table, by: str, called: str) -> Kind:
    """Return the kind of rows whose parent is gone."""
    alone = ~exists(select(parent.c.id).where(parent.c.id == table.c[by]))
    return Kind(
        name=f"{table.name} of nothing",
        means=f"They belong to {parent.name} that are gone, and only take up room.",
        remedy="They are deleted.",
        find=finder(select(table.c[key], table.c[by]).where(alone).order_by(table.c[key]), called),
        mend=_delete_from(table, key),
    )


def _wrong(outcome: Outcome, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(notifications.c.outcome == outcome.value, condition)


KINDS: Sequence[Kind] = (
    _orphans(deliveries, "id", notifications, "notification_id", "a delivery of the missing notification"),
    _orphans(records, "id", notifications, "notification_id", "a record of the missing notification"),
    _orphans(renderings, "delivery_id", deliveries, "delivery_id", "what was rendered for the missing delivery"),
    _orphans(attempts, "id", deliveries, "delivery_id", "an attempt of the missing delivery"),
    Kind(
        name="delivery without a lane",
        means="Nobody will ever claim it: claims go by lanes.",
        remedy="Drop it (`gateway deliveries drop KEY`), or restore the store from a backup.",
        find=finder(
            select(*_delivery)
            .where(deliveries.c.in_lane, ~exists(select(lanes.c.id).where(lanes.c.id == deliveries.c.lane_id)))
            .order_by(deliveries.c.id),
            "delivery",
        ),
    ),
    Kind(
        name="ended delivery that holds its lane up",
        means="The deliveries behind it wait for ever.",
        remedy="It leaves its lane.",
        find=finder(
            select(*_delivery)
            .where(deliveries.c.in_lane, ~_pending, deliveries.c.state != DeliveryState.DEAD.value)
            .order_by(deliveries.c.id),
            "delivery",
        ),
        mend=_out_of_lane,
    ),
    *STATES,
    Kind(
        name="lane that is never claimed",
        means="Deliveries wait in it, but nothing says when they are due: they wait for ever.",
        remedy="It is due when its head is.",
        find=finder(
            select(lanes.c.id, lanes.c.id)
            .where(lanes.c.claimable_at.is_(None), exists(select(deliveries.c.id).where(_in_it)))
            .order_by(lanes.c.id),
            "lane",
        ),
        mend=open_lanes,
    ),
    Kind(
        name="lane that is due long after its head",
        means="The delivery at its head is due, and waits all the same.",
        remedy="It is due when its head is.",
        find=finder(
            select(lanes.c.id, lanes.c.id)
            .where(lanes.c.holder.is_(None), lanes.c.claimable_at > head_due + 60 * SECOND)
            .order_by(lanes.c.id),
            "lane",
        ),
        mend=open_lanes,
    ),
    Kind(
        name="empty lane that is due",
        means="The gateway claims it again and again and finds nothing in it.",
        remedy="It is marked as empty.",
        find=finder(
            select(lanes.c.id, lanes.c.id)
            .where(lanes.c.claimable_at.is_not(None), ~exists(select(deliveries.c.id).where(_in_it)))
            .order_by(lanes.c.id),
            "lane",
        ),
        mend=open_lanes,
    ),
    Kind(
        name="lane whose numbers do not rise",
        means="The next delivery would get a number that is not above all others: a destination with a `guard` would "
        "take it for an older one.",
        remedy="It counts on from the highest.",
        find=finder(
            select(lanes.c.id, lanes.c.id)
            .join(deliveries, deliveries.c.lane_id == lanes.c.id)
            .group_by(lanes.c.id, lanes.c.last_number)
            .having(func.max(deliveries.c.number) > lanes.c.last_number)
            .order_by(lanes.c.id),
            "lane",
        ),
        mend=_count_on,
    ),
    Kind(
        name="one number twice in a lane",
        means="Which of the two goes first is left to chance.",
        remedy="Look at them with `gateway deliveries list`; replay one with --overtaken to send it to the end.",
        find=finder(
            select(deliveries.c.lane_id, func.min(deliveries.c.delivery_key))
            .group_by(deliveries.c.lane_id, deliveries.c.number)
            .having(func.count() > 1)
            .order_by(deliveries.c.lane_id),
            "that of delivery",
        ),
    ),
    Kind(
        name="outcome that is missing",
        means="Every delivery that counts has ended, and doForms will never hear how.",
        remedy="It is set, and reported.",
        find=finder(
            select(*_notification)
            .where(
                notifications.c.outcome.is_(None),
                notifications.c.pruned_at.is_(None),
                exists(select(deliveries.c.id).where(_counts)),
                ~exists(select(deliveries.c.id).where(_counts, _pending)),
            )
            .order_by(notifications.c.id),
            "notification",
        ),
        mend=_judge,
    ),
    Kind(
        name="outcome that is wrong",
        means="doForms was told something else than what happened.",
        remedy="It is set anew, and reported.",
        find=finder(
            select(*_notification)
            .where(
                notifications.c.matched,
                notifications.c.pruned_at.is_(None),
                exists(select(deliveries.c.id).where(_counts)),
                ~exists(select(deliveries.c.id).where(_counts, _pending)),
                or_(
                    _wrong(Outcome.COMPLETED, exists(select(deliveries.c.id).where(_counts, _bad))),
                    _wrong(Outcome.FAILED, ~exists(select(deliveries.c.id).where(_counts, _bad))),
                ),
            )
            .order_by(notifications.c.id),
            "notification",
        ),
        mend=_judge,
    ),
    Kind(
        name="report without an outcome",
        means="doForms would be told nothing, again and again.",
        remedy="It is no longer due; with the outcome it will be.",
        find=finder(
            select(*_notification)
            .where(notifications.c.report_due_at.is_not(None), notifications.c.outcome.is_(None))
            .order_by(notifications.c.id),
            "notification",
        ),
        mend=_no_report,
    ),
    Kind(
        name="report that has ended and is due",
        means="doForms would be told once more, or though it is to be told nothing.",
        remedy="It is no longer due.",
        find=finder(
            select(*_notification)
            .where(
                notifications.c.report_due_at.is_not(None),
                notifications.c.report_state.not_in((ReportState.OPEN.value, ReportState.DUE.value)),
            )
            .order_by(notifications.c.id),
            "notification",
        ),
        mend=_no_report,
    ),
    Kind(
        name="report that is never due",
        means="doForms will never hear the outcome.",
        remedy="It is made due now.",
        find=finder(
            select(*_notification)
            .where(
                notifications.c.outcome.is_not(None),
                notifications.c.report_state.in_((ReportState.OPEN.value, ReportState.DUE.value)),
                notifications.c.report_due_at.is_(None),
            )
            .order_by(notifications.c.id),
            "notification",
        ),
        mend=_report,
    ),
)
"""In the order in which they are mended: what others rest on comes first."""
