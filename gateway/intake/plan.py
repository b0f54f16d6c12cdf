"""Plans a notification before it is kept: its deliveries, their lanes, its mode, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.config.loaded import Account, DeliverySpec, Plan, Webservice
from gateway.intake.deliverer import Deliverer
from gateway.intake.lanes import delivery_key, lane_key
from gateway.models import Event, Mode, Notification, Outcome, Unmatched
from gateway.pauses import Kind
from gateway.routing.active import ActiveRoutes, kinds_needed
from gateway.store.work.inbox import Keep, NewDelivery

NOT_IN_THE_FILE = "its web service is not in the routes file"
"""Why a notification of a web service that nobody has declared matches no route."""
_REMEDY = (
    "Mend the routes file and `gateway reload`; then `gateway notifications replay --unmatched` matches it again, and "
    "`gateway notifications drop --unmatched` gives up what no route shall take"
)
"""What a person does about notifications that no route matched."""


class Paused(Protocol):
    """What is paused, as deciding sees it."""

    def reason(self, kind: Kind, name: str) -> str | None:
        """Return why something is paused; None: it is not."""
        ...


class Planner:
    """Turns a notification into what is to be kept."""

    def __init__(self, *, active: ActiveRoutes, worker: Deliverer, pauses: Paused) -> None:
        self._active = active
        self._worker = worker
        self._pauses = pauses

    def plan_notification(self, notification: Notification) -> Keep:
        """Return what to keep of a notification; pure but for a look at what is paused."""
        webservice = self._active.webservice(notification.webservice_id)
        if webservice is None:
            account = account_of(notification.webservice_id)
            return self._unmatched(notification, account, None, NOT_IN_THE_FILE)
        account_entry = self._active.account(webservice)
        plan = self._active.plan(webservice, notification.event)
        if not plan.routes:
            return self._unmatched(notification, account_entry.name, webservice, no_route(webservice, notification))
        return self._matched(notification, webservice, account_entry, plan)

    def _matched(self, notification: Notification, webservice: Webservice, account: Account, plan: Plan) -> Keep:
        fetch = notification.event is not Event.DELETE and bool(kinds_needed(notification, plan.needs))
        mode, reason = plan.mode, plan.reason
        if mode is Mode.IMMEDIATE and (obstacle := self._obstacle(plan.counting, webservice, fetch=fetch)):
            mode, reason = Mode.DELAYED, obstacle
        return Keep(
            notification=notification,
            account=account.name,
            webservice=webservice.name,
            form=webservice.form,
            project=webservice.project,
            mode=mode,
            reason=reason,
            outcome=None if plan.counting else Outcome.COMPLETED,
            report=account.report and webservice.password is not None,
            fetch=fetch,
            deliveries=tuple(self._new(notification, account, spec, mode) for spec in plan.deliveries),
        )

    def _obstacle(self, counting: Sequence[DeliverySpec], webservice: Webservice, *, fetch: bool) -> str | None:
        for spec in counting:
            if (obstacle := self._worker.obstacle(spec.destination)) is not None:
                return obstacle
        if fetch and (paused := self._pauses.reason(Kind.WEBSERVICE, webservice.id)) is not None:
            return f"the web service {webservice.name} is paused: {paused}"
        return None

    def _new(self, notification: Notification, account: Account, spec: DeliverySpec, mode: Mode) -> NewDelivery:
        take = (mode is Mode.IMMEDIATE and spec.required) or self._worker.has_room(spec.destination)
        return new_delivery(notification, account, spec, take=take)

    def _unmatched(self, notification: Notification, account: str, webservice: Webservice | None, why: str) -> Keep:
        policy = self._active.routes.unmatched
        outcomes = {Unmatched.FAIL: Outcome.FAILED, Unmatched.COMPLETE: Outcome.COMPLETED}
        alarm = f"notification {notification.key} of {notification.webservice_id}: {why}. {_REMEDY}"
        can_report = webservice is not None and webservice.password is not None
        return Keep(
            notification=notification,
            account=account,
            webservice=None if webservice is None else webservice.name,
            form=None if webservice is None else webservice.form,
            project=None if webservice is None else webservice.project,
            mode=Mode.DELAYED,
            reason=why,
            matched=False,
            alarm=None if policy is Unmatched.COMPLETE else alarm,
            outcome=outcomes.get(policy),
            report=can_report and webservice is not None and self._active.account(webservice).report,
        )


def no_route(webservice: Webservice, notification: Notification) -> str:
    """Say that no route takes what a web service sent."""
    return f"no route matches form {webservice.form!r}, project {webservice.project!r}, event {notification.event}"


def new_delivery(notification: Notification, account: Account, spec: DeliverySpec, *, take: bool) -> NewDelivery:
    """Return the delivery that a route makes of a notification, with its key and its lane."""
    key = delivery_key(notification, spec.route, spec.name)
    lane = lane_key(notification, destination=spec.destination, account=account.name, order=spec.order, delivery=key)
    return NewDelivery(
        route=spec.route,
        name=spec.name,
        destination=spec.destination,
        lane=lane,
        delivery_key=key,
        required=spec.required,
        take=take,
    )


def account_of(webservice_id: str) -> str:
    """Return the account that a web service id names: the text before the first ``$$``."""
    return webservice_id.partition("$$")[0]
