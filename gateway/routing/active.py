"""The active routes: swapped whole by a reload, with cached look-ups."""

from __future__ import annotations

from gateway.config.loaded import Account, DeliverySpec, Plan, Route, Routes, Webservice
from gateway.models import Event, Notification, RecordKind
from gateway.routing.match import plan


class ActiveRoutes:
    """Holds the routes that were loaded last."""

    def __init__(self, routes: Routes) -> None:
        self.load(routes)

    def load(self, routes: Routes) -> None:
        """Swap the routes."""
        self.routes = routes
        self._plans: dict[tuple[str, Event], Plan] = {}
        self._deliveries = {
            (route.name, spec.name): (route, spec) for route in routes.routes for spec in route.deliveries
        }

    def webservice(self, webservice_id: str) -> Webservice | None:
        """Find the web service that sent a notification."""
        return self.routes.webservices.get(webservice_id)

    def account(self, webservice: Webservice) -> Account:
        """Return the account of a web service."""
        return self.routes.accounts[webservice.account]

    def plan(self, webservice: Webservice, event: Event) -> Plan:
        """Return what the routes make of a web service's event."""
        key = (webservice.id, event)
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = plan(self.routes, webservice, event)
        return found

    def delivery(self, route: str, name: str) -> tuple[Route, DeliverySpec] | None:
        """Find a delivery by its route's and its own name; None: not loaded any more."""
        return self._deliveries.get((route, name))

    def kinds(self, notification: Notification) -> frozenset[RecordKind]:
        """Return which records must be fetched for a notification; nothing is fetched for a delete."""
        webservice = self.webservice(notification.webservice_id)
        if webservice is None or notification.event is Event.DELETE:
            return frozenset()
        return kinds_needed(notification, self.plan(webservice, notification.event).needs)


def kinds_needed(notification: Notification, needs: frozenset[str]) -> frozenset[RecordKind]:
    """Turn what templates mention into the kinds of record to fetch, as far as the notification names their keys."""
    if not needs:
        return frozenset()
    wanted = {RecordKind(need) for need in needs if need in {"submission", "dispatch"}}
    if "record" in needs and notification.record_kind is not None:
        wanted.add(notification.record_kind)
    return frozenset(kind for kind in wanted if notification.key_of(kind))


def missing_need(notification: Notification, needs: frozenset[str]) -> str | None:
    """Return what a delivery needs and the notification names no key for, if anything."""
    if "record" in needs and notification.record_key is None:
        return "record"
    return next((need for need in ("submission", "dispatch") if need in needs and not _has(notification, need)), None)


def _has(notification: Notification, need: str) -> bool:
    return bool(notification.key_of(RecordKind(need)))
