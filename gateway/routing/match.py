"""Matching: which routes take a web service's event, decided without the record."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.config.loaded import Plan, Route, Routes, Webservice
from gateway.config.patterns import fits
from gateway.models import Event
from gateway.routing.mode import choose


def _fits_any(patterns: Iterable[str], name: str) -> bool:
    return any(fits(pattern, name) for pattern in patterns)


def route_matches(route: Route, webservice: Webservice, event: Event) -> tuple[bool, str]:
    """Tell whether a route takes this event of this web service, and why or why not, for a person."""
    if event not in route.events:
        taken = ", ".join(each.value for each in Event if each in route.events)
        return False, f"the event is {event.value}, the route takes {taken}"
    for kind, patterns, name in (
        ("form", route.forms, webservice.form),
        ("project", route.projects, webservice.project),
        ("account", route.accounts, webservice.account),
    ):
        if patterns and not _fits_any(patterns, name):
            wanted = " or ".join(f'"{pattern}"' for pattern in patterns)
            return False, f'the {kind} is "{name}", the route takes {wanted}'
    return True, "account, form, project and event match"


def plan(routes: Routes, webservice: Webservice, event: Event) -> Plan:
    """Decide what the routes make of this event of this web service, and in which mode."""
    matching = tuple(
        route
        for route in routes.routes
        if event in route.events
        and (not route.forms or _fits_any(route.forms, webservice.form))
        and (not route.projects or _fits_any(route.projects, webservice.project))
        and (not route.accounts or _fits_any(route.accounts, webservice.account))
    )
    deliveries = tuple(spec for route in matching for spec in route.deliveries)
    disabled = frozenset(name for name, entry in routes.destinations.items() if not entry.enabled)
    mode, reason = choose(
        matching,
        deliveries,
        routes.accounts[webservice.account],
        routes.answer_within,
        event=event,
        disabled=disabled,
    )
    return Plan(
        routes=matching,
        deliveries=deliveries,
        mode=mode,
        reason=reason,
        counting=tuple(spec for spec in deliveries if spec.required),
        needs=frozenset().union(*(spec.needs for spec in deliveries)),
    )
