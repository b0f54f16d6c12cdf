"""Preparing a delivery: needs, `when`, what is rendered and what was rendered before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import pytest
from pydantic import field_validator

from gateway.api import Options, Template
from gateway.config.loaded import Routes
from gateway.delivery.preparing.prepare import Apart, Job, Prepared, finish, prepare, prepare_here
from gateway.delivery.settle import Attempted, Result
from gateway.doforms.record import decode_record
from gateway.models import Event, FetchState, Notification, Record, RecordKind
from gateway.records.fetcher import Records
from gateway.store.work.records import KeptNotification
from gateway.templates.render import pin, unpin
from gateway.templates.rendering import packed, work_off
from gateway.text.json_text import to_json
from tests.delivery.test_settle import DUE
from tests.support.keeping import WEBSERVICE, notification
from tests.support.parts import ROUTES
from tests.support.sink import load_routes

RECORD = decode_record(
    b'{"key":"r1","id":"17","fields":[{"name":"site","data":"text","text":"Dock"},'
    b'{"name":"score","data":"decimal","decimal":7.50}]}',
    kind=RecordKind.SUBMISSION,
)
Load = Callable[..., Routes]


class Renamed(Options):
    message: Template[str]


class Failing(Options):
    message: str

    @field_validator("message")
    @classmethod
    def _fails(cls, value: str) -> str:
        raise KeyError(value)

    def for_event(self, event: Event) -> Self:
        if self.message == "event":
            raise KeyError(self.message)
        return self


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a route with this text, this `when` of the route and this one of the delivery."""

    def loaded(text: str = "{{ record.fields.site }}", *, route_when: str = "", when: str = "") -> Routes:
        more = f"when = {to_json(route_when)}" if route_when else ""
        routes = ROUTES.format(api="http://127.0.0.1:1", webservice=WEBSERVICE, more=more, text=text)
        return load_routes(tmp_path, routes + (f"when = {to_json(when)}\n" if when else ""))

    return loaded


def job(routes: Routes, of: Notification | None = None, record: Record | None = RECORD, **due: Any) -> Job:
    kept = KeptNotification(
        id=1,
        notification=of or notification(),
        account="acme",
        webservice="inspection",
        fetch_state=FetchState.PINNED,
    )
    [route] = routes.routes
    [spec] = route.deliveries
    known = {} if record is None else {record.kind: record}
    records = Records(record=record, by_kind=known, known=record is not None)
    return Job(due=replace(DUE, **due), kept=kept, route=route, spec=spec, records=records)


def prepared(one: Job, routes: Routes) -> Prepared:
    ready = prepare(one, routes.webservices[WEBSERVICE])
    assert isinstance(ready, Prepared), ready
    return ready


def ended(one: Job, routes: Routes) -> Attempted:
    ready = prepare(one, routes.webservices[WEBSERVICE])
    assert isinstance(ready, Attempted), ready
    return ready


def test_what_is_sent_is_rendered_from_the_record_and_kept(load: Load) -> None:
    routes = load("{{ record.fields.score }}")
    ready = prepared(job(routes, delivery_key="k7", number=5, attempts=2), routes)
    delivery = ready.delivery
    assert ready.rendered is not None
    assert str(delivery.options.text) == str(unpin(ready.rendered)["text"]) == "7.50"
    assert (delivery.key, delivery.number, delivery.attempt) == ("k7", 5, 3)
    assert (delivery.event, delivery.notification.key, delivery.record) == (Event.CREATE, "n1", RECORD)
    assert timedelta(seconds=28) < delivery.deadline - datetime.now(UTC) <= timedelta(seconds=30)


def test_a_retry_sends_what_was_rendered_before_whatever_has_changed_since(load: Load) -> None:
    routes = load("{{ record.fields.other }}", when="record.fields.site == 'Pier'")
    ready = prepared(job(routes, record=None, rendered=pin({"text": "as sent before"}), delivery_key="k7"), routes)
    assert (ready.delivery.options.text, ready.delivery.key, ready.rendered) == ("as sent before", "k7", None)


def test_what_was_rendered_for_a_plugin_that_has_other_options_now_is_dead_and_says_how_it_is_rendered_anew(
    load: Load,
) -> None:
    routes = load()
    [route] = routes.routes
    upgraded = replace(route.deliveries[0], options=Renamed(message="x"))
    one = job(routes, rendered=pin({"text": "as sent before"}), delivery_key="k7")
    one.spec = upgraded
    result = ended(one, routes)
    assert result.result is Result.REJECTED
    assert result.reason == (
        "it was rendered before the plugin of the destination table was changed, and does not fit it any more: what "
        "was rendered does not fit the options: message: Field required; text: Extra inputs are not permitted (found "
        "'as sent before'). A replay renders it anew"
    )


@pytest.mark.parametrize("message", ["validator", "event"])
def test_options_that_raise_what_they_must_not_are_a_bug_of_the_plugin(load: Load, message: str) -> None:
    routes = load()
    one = job(routes)
    one.spec = replace(one.spec, options=Failing.model_construct(message=message))
    result = ended(one, routes)
    assert result.result is Result.REJECTED
    assert "a bug of the plugin" in str(result.reason)
    assert f"KeyError: '{message}'" in str(result.reason)


def test_a_record_that_is_not_there_is_known_by_its_key(load: Load) -> None:
    routes = load("constant")
    assert prepared(job(routes, record=None), routes).delivery.record == Record(kind=RecordKind.SUBMISSION, key="r1")
    assert prepared(job(routes, notification(record=None), record=None), routes).delivery.record is None


@pytest.mark.parametrize(
    ("text", "of", "need"),
    [
        ("{{ record.fields.site }}", notification(record=None), "record"),
        ("{{ submission.fields.site }}", notification(record=None, dispatch_key="d1"), "submission"),
        ("{{ dispatch.fields.site }}", notification(), "dispatch"),
    ],
)
def test_a_need_without_a_key_is_dead(load: Load, text: str, of: Notification, need: str) -> None:
    routes = load(text)
    result = ended(job(routes, of), routes)
    assert result.result is Result.REJECTED
    assert result.reason == f"its templates need the {need}, but the notification names no {need}"


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("route_when", "`when` of the route route is false for this record"),
        ("when", "its `when` is false for this record"),
    ],
)
def test_a_when_that_is_false_skips_and_says_which(load: Load, where: str, reason: str) -> None:
    routes = load(**{where: "record.fields.site == 'Pier'"})
    result = ended(job(routes), routes)
    assert (result.result, result.reason) == (Result.SKIPPED, reason)


@pytest.mark.parametrize("where", ["route_when", "when"])
def test_a_when_that_is_true_lets_it_go(load: Load, where: str) -> None:
    routes = load(**{where: "record.fields.site == 'Dock'"})
    assert prepared(job(routes), routes).delivery.options.text == "Dock"


def test_a_when_that_cannot_be_judged_is_dead_with_the_reason(load: Load) -> None:
    routes = load(when="record.fields.site > 5")
    result = ended(job(routes), routes)
    assert result.result is Result.REJECTED
    assert "`record.fields.site > 5`" in str(result.reason)


def test_a_template_that_cannot_be_rendered_is_dead_with_the_reason(load: Load) -> None:
    routes = load("{{ record.fields.score / 0 }}")
    result = ended(job(routes), routes)
    assert result.result is Result.REJECTED
    assert "`{{ record.fields.score / 0 }}`" in str(result.reason)


def test_a_question_that_stands_in_several_places_is_dead_naming_its_paths(load: Load) -> None:
    routes = load("{{ record.fields.site }}")
    twice = [{"name": name, "fields": [{"name": "site", "data": "text", "text": name}]} for name in ("a", "b")]
    record = decode_record(to_json({"key": "r1", "fields": twice}).encode(), kind=RecordKind.SUBMISSION)
    result = ended(job(routes, record=record), routes)
    assert result.result is Result.REJECTED
    assert "'a.site' or 'b.site'" in str(result.reason)
    by_path = load("{{ record.paths['b.site'] }}")
    assert prepared(job(by_path, record=record), by_path).delivery.options.text == "b"


DELETE = notification(event=Event.DELETE)


@pytest.mark.parametrize("where", ["route_when", "when"])
@pytest.mark.parametrize("asks", ["record.fields.site == 'Pier'", "submission.fields.site == 'Pier'"])
def test_for_a_delete_a_when_counts_as_true_where_the_record_was_never_seen(load: Load, where: str, asks: str) -> None:
    routes = load("{{ record.fields.site }}", **{where: asks})
    assert prepared(job(routes, DELETE, record=None), routes).delivery.options.text is None


def test_for_a_delete_a_when_is_judged_by_the_last_record_that_was_seen(load: Load) -> None:
    routes = load(when="record.fields.site == 'Pier'")
    assert ended(job(routes, DELETE), routes).result is Result.SKIPPED
    routes = load(when="record.fields.site == 'Dock'")
    assert prepared(job(routes, DELETE), routes).delivery.options.text == "Dock"


def test_for_a_delete_a_when_that_needs_no_record_is_judged(load: Load) -> None:
    routes = load(when="notification.event != 'delete'")
    assert ended(job(routes, DELETE, record=None), routes).result is Result.SKIPPED


def test_a_delete_needs_no_key(load: Load) -> None:
    routes = load("{{ record.fields.site }}")
    gone = notification(record=None, event=Event.DELETE)
    assert prepared(job(routes, gone, record=None), routes).delivery.options.text is None


def test_what_a_plugin_changes_in_a_delivery_reaches_no_other_and_no_later_attempt(load: Load) -> None:
    routes = load("{{ record.fields }}")
    one = job(routes)
    first = prepared(one, routes).delivery
    first.record.fields["site"] = "changed"
    first.record.raw["fields"].clear()
    first.record.paths.clear()
    first.options.text.clear()
    later = prepared(one, routes).delivery
    assert later.record == RECORD
    assert later.options.text == {"site": "Dock", "score": Decimal("7.50")}


def test_what_a_plugin_changes_in_literal_options_is_changed_for_it_alone(tmp_path: Path) -> None:
    text = ROUTES.format(api="http://127.0.0.1:1", webservice=WEBSERVICE, more="", text="x")
    routes = load_routes(tmp_path, text.replace('text = "x"', 'text = { a = ["b", { c = 1 }], d = [[1]] }'))
    one = job(routes)
    first = prepared(one, routes).delivery.options.text
    first["a"][1]["c"] = 2
    first["a"].append("e")
    first["d"][0].clear()
    assert prepared(one, routes).delivery.options.text == {"a": ["b", {"c": 1}], "d": [[1]]}


def test_a_record_that_is_large_is_made_ready_elsewhere_and_the_same(load: Load) -> None:
    routes = load()
    one = job(routes)
    here = prepared(one, routes)
    one.records = replace(one.records, are_large=True)
    apart = prepare(one, routes.webservices[WEBSERVICE])
    assert isinstance(apart, Apart)
    assert apart.task is not None
    assert not apart.is_much
    done = finish(one, work_off(apart.task))
    assert isinstance(done, Prepared)
    assert done.rendered == here.rendered
    assert done.delivery.options == here.delivery.options


def test_a_template_that_costs_much_is_rendered_elsewhere(load: Load) -> None:
    routes = load("{{ range(90000) | map('string') | list | length }}")
    one = job(routes)
    apart = prepare(one, routes.webservices[WEBSERVICE])
    assert isinstance(apart, Apart)
    assert apart.is_much
    ready = prepare_here(one, routes.webservices[WEBSERVICE])
    assert isinstance(ready, Prepared)
    assert ready.delivery.options.text == 90_000


def test_only_records_that_templates_read_are_sent_elsewhere(load: Load) -> None:
    routes = load("{{ range(90000) | map('string') | list | length }} {{ record.key }}")
    apart = prepare(job(routes), routes.webservices[WEBSERVICE])
    assert isinstance(apart, Apart)
    assert apart.task is not None
    assert apart.task.names["record"]["key"] == RECORD.key
    assert apart.task.names["record"]["fields"] == {}
    assert len(packed(apart.task)) < 5_000


def test_what_was_made_ready_elsewhere_gets_its_whole_time(load: Load) -> None:
    routes = load()
    one = job(routes)
    ready = prepared(one, routes)
    one.ready = replace(ready, delivery=replace(ready.delivery, deadline=datetime(2020, 1, 1, tzinfo=UTC)))
    again = prepared(one, routes)
    assert again.rendered == ready.rendered
    assert again.delivery.deadline > datetime.now(UTC)


def test_what_was_rendered_before_and_is_large_is_read_elsewhere(load: Load) -> None:
    routes = load()
    one = job(routes, rendered=pin({"text": "x" * 100_000}))
    apart = prepare(one, routes.webservices[WEBSERVICE])
    assert apart == Apart(task=None)
    ready = finish(one, None)
    assert isinstance(ready, Prepared)
    assert ready.rendered is None
    assert ready.delivery.options.text == "x" * 100_000
