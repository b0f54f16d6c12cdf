"""Matches unmatched notifications again with the routes loaded now."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from gateway.config.loaded import Routes
from gateway.intake.plan import NOT_IN_THE_FILE, account_of, new_delivery, no_route
from gateway.models import Mode, Notification
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.ids import ids_of
from gateway.store.operator import rematch as store_rematch
from gateway.store.operator.actions import ActionResult, Actor
from gateway.store.work.inbox import Keep


def rematch(connection: Connection, notification_ids: Collection[int], routes: Routes, by: Actor) -> list[ActionResult]:
    """Match unmatched notifications again, the oldest first."""
    active, ids = ActiveRoutes(routes), ids_of(connection)
    found = store_rematch.load_unmatched(connection, notification_ids)
    return [
        store_rematch.rematch(connection, kept, plan_rematch(active, kept.notification), by, ids=ids) for kept in found
    ]


def plan_rematch(active: ActiveRoutes, notification: Notification) -> Keep:
    """Return what the routes make of a notification; ``matched`` tells whether they take it."""
    webservice = active.webservice(notification.webservice_id)
    if webservice is None:
        return Keep(
            notification=notification,
            account=account_of(notification.webservice_id),
            mode=Mode.DELAYED,
            reason=NOT_IN_THE_FILE,
            matched=False,
        )
    account, plan = active.account(webservice), active.plan(webservice, notification.event)
    return Keep(
        notification=notification,
        account=account.name,
        webservice=webservice.name,
        form=webservice.form,
        project=webservice.project,
        mode=Mode.DELAYED,
        reason=no_route(webservice, notification),
        matched=bool(plan.routes),
        report=account.report and webservice.password is not None,
        fetch=bool(active.kinds(notification)),
        deliveries=tuple(new_delivery(notification, account, spec, take=False) for spec in plan.deliveries),
    )
