"""Matching by account, form, project and event."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.loaded import Route, Webservice
from gateway.models import Event, Mode
from gateway.routing.match import fits, plan, route_matches
from tests.support.properties import quick, texts
from tests.support.routes_files import HEAD, route

SITE = Webservice(name="site", id="x", password=None, form="Site inspection", project="Safety", account="acme")


@pytest.mark.parametrize(
    ("pattern", "name", "whether"),
    [
        ("Site inspection", "Site inspection", True),
        ("Site inspection", "site inspection", False),
        ("Site*", "Site inspection", True),
        ("site*", "Site inspection", False),
        ("Site", "Site inspection", False),
        ("*inspection", "Site inspection", True),
        ("*", "", True),
        ("*", "of\ntwo lines", True),
        ("?", "", False),
        ("Site ?nspection", "Site inspection", True),
        ("S??e*", "Site", True),
        ("", "", True),
        ("", "x", False),
        ("[Ss]ite", "Site", False),
        ("[Ss]ite*", "[Ss]ite 1", True),
        ("a.c*", "abc", False),
        ("a+(b)|^$\\*", "a+(b)|^$\\x", True),
        ("{a,b}", "a", False),
        ("**", "anything", True),
    ],
)
def test_only_star_and_question_mark_are_special(pattern: str, name: str, whether: bool) -> None:
    assert fits(pattern, name) is whether


@quick
@given(texts)
def test_a_name_without_special_characters_fits_itself_and_its_beginning_with_a_star(name: str) -> None:
    plain = re.sub(r"[*?]", "", name)
    assert fits(plain, plain)
    assert fits(plain[:2] + "*", plain)
    assert fits("?" * len(plain), plain)
    assert not fits(plain, plain + "x")


@quick
@given(st.text("ab*?", max_size=6), st.text("ab", max_size=6))
def test_fitting_is_what_the_definition_says(pattern: str, name: str) -> None:
    def by_definition(pattern: str, name: str) -> bool:
        if not pattern:
            return not name
        if pattern[0] == "*":
            return any(by_definition(pattern[1:], name[index:]) for index in range(len(name) + 1))
        return bool(name) and pattern[0] in ("?", name[0]) and by_definition(pattern[1:], name[1:])

    assert fits(pattern, name) is by_definition(pattern, name)


@pytest.mark.parametrize(
    ("given_", "event", "why"),
    [
        ({}, Event.CREATE, None),
        ({}, Event.UPDATE, None),
        ({}, Event.DELETE, "the event is delete, the route takes create, update"),
        ({}, Event.STATUS, "the event is status, the route takes create, update"),
        ({"events": frozenset(Event)}, Event.STATUS, None),
        ({"forms": ("Other", "Site*")}, Event.CREATE, None),
        (
            {"forms": ("Other", "site*")},
            Event.CREATE,
            'the form is "Site inspection", the route takes "Other" or "site*"',
        ),
        ({"projects": ("Safety",), "accounts": ("ac??",)}, Event.CREATE, None),
        ({"projects": ("Quality",)}, Event.CREATE, 'the project is "Safety", the route takes "Quality"'),
        ({"accounts": ("acme-*",)}, Event.CREATE, 'the account is "acme", the route takes "acme-*"'),
    ],
)
def test_a_route_takes_what_fits_in_every_respect_and_says_why_not(given_, event: Event, why: str | None) -> None:
    matches, told = route_matches(Route(name="one", **given_), SITE, event)
    assert matches is (why is None)
    assert told == (why or "account, form, project and event match")


FILE = (
    HEAD
    + '[webservices.other]\nid = "other"\nform = "Other"\n'
    + route(name="all", more='events = ["create", "update", "delete", "status"]')
    + route(name="site", more='form = "Site*"\nproject = "S?fety"')
    + route(name="other", more='form = ["Nothing", "Other"]\naccount = "*"'.replace('"Nothing", ', ""))
    + route(name="off", more="enabled = false")
)


@pytest.mark.parametrize(
    ("ident", "event", "names"),
    [
        ("acme$$1$$Published$$2", Event.CREATE, ["all", "site"]),
        ("acme$$1$$Published$$2", Event.DELETE, ["all"]),
        ("other", Event.UPDATE, ["all", "other"]),
        ("other", Event.STATUS, ["all"]),
    ],
)
def test_every_route_that_matches_makes_its_deliveries(load_text, ident: str, event: Event, names: list[str]) -> None:
    routes = load_text(FILE)
    made = plan(routes, routes.webservices[ident], event)
    assert [one.name for one in made.routes] == names
    assert [spec.route for spec in made.deliveries] == names


def test_the_plan_and_the_explanation_agree(load_text) -> None:
    routes = load_text(FILE)
    for webservice in routes.webservices.values():
        for event in Event:
            explained = tuple(one for one in routes.routes if route_matches(one, webservice, event)[0])
            assert plan(routes, webservice, event).routes == explained


def test_what_no_route_matches_has_an_empty_plan(load_text) -> None:
    routes = load_text(HEAD + route())
    made = plan(routes, routes.webservices["acme$$1$$Published$$2"], Event.STATUS)
    assert (made.routes, made.deliveries, made.mode, made.reason) == ((), (), Mode.DELAYED, "no route matches")
