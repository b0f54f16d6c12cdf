"""Finds states of one row that cannot be together: see `docs/states.md`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, case, exists, or_, select

from gateway.models import AttachmentState, DeliveryState, FetchState
from gateway.store.engine.bulk_sql import AnyOf, many
from gateway.store.engine.transaction_time import ask
from gateway.store.operator.actions import open_lanes
from gateway.store.operator.inconsistency import Kind, finder, put
from gateway.store.tables import attachments, deliveries, notifications, records

_pending = deliveries.c.state == DeliveryState.PENDING.value
_ended = deliveries.c.settled_at.is_not(None)
_notification = (notifications.c.id, notifications.c.notification_key)
_delivery = (deliveries.c.id, deliveries.c.delivery_key)


def _into_lane(connection: Connection, ids: Sequence[int]) -> None:
    put(connection, deliveries, ids, in_lane=True)
    of_them = select(deliveries.c.lane_id).where(AnyOf(deliveries.c.id, "ids"))
    open_lanes(connection, {*connection.execute(of_them, {"ids": many(connection, ids)}).scalars()})


def _not_sending(connection: Connection, ids: Sequence[int]) -> None:
    put(connection, deliveries, ids, sending_at=None)


def _without_doubt(connection: Connection, ids: Sequence[int]) -> None:
    put(connection, deliveries, ids, doubt=False)


def _end_as_state(connection: Connection, ids: Sequence[int]) -> None:
    put(connection, deliveries, ids, settled_at=case((_pending, None), else_=ask(connection)[1]))


def _fetch_again(connection: Connection, ids: Sequence[int]) -> None:
    put(connection, notifications, ids, fetch_state=FetchState.DUE.value, fetch_due_at=None, fetch_holder=None)


def _download_again(connection: Connection, ids: Sequence[int]) -> None:
    put(connection, attachments, ids, state=AttachmentState.DUE.value, due_at=None, ended_at=None)


STATES: Sequence[Kind] = (
    Kind(
        name="pending delivery out of its lane",
        means="Nobody will ever claim it, and its notification never gets an outcome.",
        remedy="It takes its place in the lane again.",
        find=finder(
            select(*_delivery).where(_pending, ~deliveries.c.in_lane).order_by(deliveries.c.id),
            "delivery",
        ),
        mend=_into_lane,
    ),
    Kind(
        name="ended delivery that is being sent",
        means="It looks as if an attempt of it had no known end.",
        remedy="The mark is taken away.",
        find=finder(
            select(*_delivery).where(~_pending, deliveries.c.sending_at.is_not(None)).order_by(deliveries.c.id),
            "delivery",
        ),
        mend=_not_sending,
    ),
    Kind(
        name="doubt about a delivery that is not dead",
        means="Lists and orders take it for one in doubt.",
        remedy="The doubt is taken away.",
        find=finder(
            select(*_delivery)
            .where(deliveries.c.doubt, deliveries.c.state != DeliveryState.DEAD.value)
            .order_by(deliveries.c.id),
            "delivery",
        ),
        mend=_without_doubt,
    ),
    Kind(
        name="delivery whose end and state differ",
        means="One that ended has no time of its end, so that retention never deletes it, or one that waits has one.",
        remedy="What ended has ended now; what waits has no end.",
        find=finder(
            select(*_delivery).where(or_(and_(_pending, _ended), and_(~_pending, ~_ended))).order_by(deliveries.c.id),
            "delivery",
        ),
        mend=_end_as_state,
    ),
    Kind(
        name="fetched record that is not there",
        means="Deliveries that need it are dead, or will be.",
        remedy="It is fetched again when a delivery needs it.",
        find=finder(
            select(*_notification)
            .where(
                notifications.c.fetch_state == FetchState.PINNED.value,
                ~exists(select(records.c.id).where(records.c.notification_id == notifications.c.id)),
            )
            .order_by(notifications.c.id),
            "notification",
        ),
        mend=_fetch_again,
    ),
    Kind(
        name="spooled attachment of unknown size",
        means="It cannot be told whether its file is whole.",
        remedy="It is downloaded again when a delivery needs it.",
        find=finder(
            select(attachments.c.id, attachments.c.file)
            .where(
                attachments.c.state == AttachmentState.SPOOLED.value,
                or_(attachments.c.size.is_(None), attachments.c.sha256.is_(None)),
            )
            .order_by(attachments.c.id),
            "file",
        ),
        mend=_download_again,
    ),
)
"""In the order in which they are mended."""
