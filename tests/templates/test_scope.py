"""The names in scope, and what they hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.destinations.options import TemplateMark
from gateway.models import Event, Notification, Record, RecordKind
from gateway.templates.scope import build_scope
from gateway.templates.template import template_compiler
from gateway.templates.values import NAMES

RECEIVED = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
SUBMISSION = Record(
    kind=RecordKind.SUBMISSION,
    key="s1",
    id="17",
    fields={"a": 1},
    tables={"t": [{"b": 2}]},
    paths={"page.a": 1},
    raw={"key": "s1"},
)


def scope(event: Event = Event.CREATE, *, record: Record | None = SUBMISSION, timezone: Any = UTC) -> dict[str, Any]:
    notification = Notification(
        key="n1",
        webservice_id="acme$$1",
        event=event,
        status="new",
        submission_key="s1",
        dispatch_key="d1",
        created=datetime(2026, 7, 1, 22, 0, tzinfo=UTC),
        received=RECEIVED,
    )
    return build_scope(
        notification=notification,
        webservice=None,
        route="inspections",
        record=record,
        submission=record,
        dispatch=None,
        timezone=timezone,
    )


def value(text: str, names: dict[str, Any]) -> Any:
    return template_compiler(text, TemplateMark(), Any, lambda literal: literal).evaluate(names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("notification.key", "n1"),
        ("notification.event", "create"),
        ("notification.submission_key", "s1"),
        ("notification.dispatch_key", "d1"),
        ("notification.created", datetime(2026, 7, 1, 22, 0, tzinfo=UTC)),
        ("notification.received", RECEIVED),
        ("now", RECEIVED),
        ("record.key", "s1"),
        ("record.id", "17"),
        ("record.fields.a", 1),
        ("record.tables.t", [{"b": 2}]),
        ("record.paths['page.a']", 1),
        ("record.raw.key", "s1"),
        ("submission.fields.a", 1),
        ("dispatch.key", "d1"),
        ("dispatch.id", None),
        ("dispatch.fields.a", None),
        ("route.name", "inspections"),
        ("webservice.name", None),
        ("attachments", []),
    ],
)
def test_each_name_holds_what_it_says(name: str, expected: Any) -> None:
    assert value("{{ " + name + " }}", scope()) == expected


def test_every_name_in_scope_is_known_to_the_check_and_holds_all_its_attributes() -> None:
    names = scope()
    assert names.keys() == NAMES.keys() - {"row"}
    assert {name: set(names[name]) for name, attributes in NAMES.items() if attributes} == {
        name: set(attributes) for name, attributes in NAMES.items() if attributes
    }


def test_of_a_record_that_is_not_known_only_the_key_is_there() -> None:
    names = scope(record=None)
    assert value("{{ record.key }}", names) == "s1"
    assert value("{{ record.id }}", names) is None
    assert value("{{ record.fields.a }}{{ record.tables.t }}", names) == ""


def test_for_a_status_event_the_record_is_the_dispatch() -> None:
    assert value("{{ record.key }}", scope(Event.STATUS, record=None)) == "d1"


def test_times_are_shown_in_the_time_zone_of_the_file() -> None:
    names = scope(timezone=ZoneInfo("Europe/Berlin"))
    assert value("{{ now.strftime('%d.%m. %H:%M') }}", names) == "02.07. 00:30"
    assert value("{{ notification.created }}.", names) == "2026-07-02T00:00:00+02:00."
    assert value("{{ now }}", names) == RECEIVED


def test_now_is_the_time_of_receipt_however_late_it_is_rendered() -> None:
    assert value("{{ now }}", scope()) == value("{{ now }}", scope()) == RECEIVED
