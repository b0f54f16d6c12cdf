"""Mode: immediate or delayed, and why."""

from __future__ import annotations

import pytest

from gateway.models import Event, Mode
from gateway.routing.match import plan
from tests.support.routes_files import HEAD, route

QUICK, SLOW = "200ms", "2200ms"


def deliver(latency: str = QUICK, *, needs: bool = False, more: str = "", index: int = 0) -> str:
    """Write a delivery to a destination that takes so long."""
    source = "{{ record.fields.a }}" if needs else "literal"
    return f'to = "takes-{latency}"\nname = "d{index}"\npath = "x"\nbody = "{source}"\n{more}'


def destination(latency: str, more: str = "") -> str:
    return (
        f'[destinations.takes-{latency}]\nplugin = "rest"\nurl = "https://a.example.com"\n'
        f'expected_latency = "{latency}"\n{more}\n'
    )


BASE = HEAD + destination(QUICK) + destination(SLOW) + '[doforms]\nexpected_fetch = "500ms"\n'
FULL = BASE + '[gateway]\nanswer_within = "2.5s"\n'


def chosen(load_text, text: str, event: Event = Event.CREATE) -> tuple[Mode, str]:
    routes = load_text(text)
    made = plan(routes, routes.webservices["acme$$1$$Published$$2"], event)
    return made.mode, made.reason


@pytest.mark.parametrize(
    ("routes", "mode", "reason"),
    [
        (route(deliver(QUICK)), "immediate", "expected 0.2 s, at most 2.5 s"),
        (route(deliver(SLOW)), "immediate", "expected 2.2 s, at most 2.5 s"),
        # the fetch comes on top where a record is needed, by whatever delivery of the route
        (route(deliver(QUICK, needs=True)), "immediate", "expected 0.7 s, at most 2.5 s"),
        (route(deliver(SLOW, needs=True)), "delayed", "expected 2.7 s, at most 2.5 s (route one)"),
        (route(deliver(SLOW), more="when = 'record.fields.a'"), "delayed", "expected 2.7 s, at most 2.5 s (route one)"),
        (
            route(deliver(SLOW), deliver(QUICK, needs=True, more="required = false", index=1)),
            "delayed",
            "expected 2.7 s, at most 2.5 s (route one)",
        ),
        # the slowest of the deliveries that count
        (route(deliver(QUICK), deliver(SLOW, index=1)), "immediate", "expected 2.2 s, at most 2.5 s"),
        (
            route(deliver(QUICK), deliver(SLOW, more="required = false", index=1)),
            "immediate",
            "expected 0.2 s, at most 2.5 s",
        ),
        # a route's own expectation wins
        (
            route(deliver(SLOW, needs=True), more='expected_latency = "400ms"'),
            "immediate",
            "expected 0.4 s, at most 2.5 s",
        ),
        (route(deliver(QUICK), more='expected_latency = "1m"'), "delayed", "expected 1 m, at most 2.5 s (route one)"),
        (route(deliver(QUICK), more='expected_latency = "2.5s"'), "immediate", "expected 2.5 s, at most 2.5 s"),
        # the largest over the routes
        (
            route(deliver(QUICK)) + route(deliver(SLOW, needs=True), name="two"),
            "delayed",
            "expected 2.7 s, at most 2.5 s (route two)",
        ),
        # mode on routes
        (route(deliver(QUICK), more='mode = "delayed"'), "delayed", 'route one is mode = "delayed"'),
        (route(deliver(SLOW, needs=True), more='mode = "immediate"'), "immediate", 'route one is mode = "immediate"'),
        (
            route(deliver(SLOW, needs=True), more='mode = "immediate"') + route(deliver(QUICK), name="two"),
            "immediate",
            "expected 0.2 s, at most 2.5 s",
        ),
        (
            route(deliver(QUICK), more='mode = "immediate"') + route(deliver(SLOW, needs=True), name="two"),
            "delayed",
            "expected 2.7 s, at most 2.5 s (route two)",
        ),
        (
            route(deliver(QUICK), more='mode = "immediate"')
            + route(deliver(QUICK), name="two", more='mode = "delayed"'),
            "delayed",
            'route two is mode = "delayed"',
        ),
        (
            route(deliver(QUICK), more='mode = "immediate"')
            + route(deliver(QUICK), name="two", more='mode = "immediate"'),
            "immediate",
            'routes one, two are mode = "immediate"',
        ),
        # nothing counts: completed at once, in any mode
        (
            route(deliver(SLOW, needs=True, more="required = false"), more='mode = "delayed"'),
            "immediate",
            "none of its deliveries counts, so it is completed at once",
        ),
        (
            route(deliver(QUICK)) + route(deliver(SLOW, needs=True, more="required = false"), name="two"),
            "immediate",
            "expected 0.2 s, at most 2.5 s",
        ),
    ],
)
def test_the_mode_follows_from_the_expected_latency(load_text, routes: str, mode: str, reason: str) -> None:
    assert chosen(load_text, FULL + routes) == (Mode(mode), reason)


def test_answer_within_and_expected_fetch_are_those_of_the_file(load_text) -> None:
    text = BASE.replace('"500ms"', '"2s"') + '[gateway]\nanswer_within = "2s"\n'
    assert chosen(load_text, text + route(deliver(QUICK, needs=True)))[1] == "expected 2.2 s, at most 2 s (route one)"


def test_an_account_has_an_expected_fetch_of_its_own(load_text) -> None:
    text = FULL + '[accounts.acme]\nexpected_fetch = "2.4s"\n' + route(deliver(QUICK, needs=True))
    assert chosen(load_text, text)[0] is Mode.DELAYED


def test_a_delete_fetches_nothing(load_text) -> None:
    text = FULL + route(deliver(SLOW, needs=True), more='events = ["delete"]')
    assert chosen(load_text, text, Event.DELETE) == (Mode.IMMEDIATE, "expected 2.2 s, at most 2.5 s")


def test_left_out_the_latency_is_what_the_plugin_declares(load_text) -> None:
    text = HEAD + route('to = "service"\npath = "x"\nbody = "y"')
    spec = load_text(text).routes[0].deliveries[0]
    assert spec.expected_latency == spec.traits.expected_latency > 0
    assert chosen(load_text, text)[1].startswith(f"expected {spec.expected_latency:g} s")


def test_a_destination_that_waits_delays(load_text) -> None:
    text = HEAD + destination(QUICK, "enabled = false") + route(deliver(QUICK))
    assert chosen(load_text, text) == (Mode.DELAYED, "destination takes-200ms is disabled, so its deliveries wait")
    assert chosen(load_text, text + "required = false")[0] is Mode.IMMEDIATE
