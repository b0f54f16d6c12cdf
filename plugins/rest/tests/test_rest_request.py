"""What goes over the wire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from gateway_rest import Rest

from gateway.api import Delivery, Rejected

Make = Callable[..., Delivery[Any]]
MakeRest = Callable[..., Rest]


async def test_each_attempt_carries_the_same_idempotency_key(service: Any, rest: MakeRest, delivery: Make) -> None:
    destination = rest()
    for attempt in (1, 2):
        await destination.deliver(delivery(unique="key-1", attempt=attempt))
    await destination.deliver(delivery(unique="key-2", method="GET"))
    assert [one.all("Idempotency-Key") for one in service.heard] == [["key-1"], ["key-1"], ["key-2"]]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_without_a_body_of_its_own_it_sends_notification_and_record(
    method: str, service: Any, rest: MakeRest, delivery: Make
) -> None:
    await rest().deliver(delivery({"site": "Dock 4", "depth": Decimal("1.50")}, method=method))
    [heard] = service.heard
    assert (heard.method, heard.all("Content-Type")) == (method, ["application/json"])
    assert set(heard.json) == {"notification", "record"}
    assert heard.json["notification"]["key"] == "n1"
    assert heard.json["record"] == {"key": "s1", "id": "17", "fields": {"site": "Dock 4", "depth": 1.5}}
    assert b'"depth": 1.50' in heard.body


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_get_and_delete_have_no_body(method: str, service: Any, rest: MakeRest, delivery: Make) -> None:
    await rest().deliver(delivery(method=method))
    [heard] = service.heard
    assert (heard.method, heard.body, heard.all("Content-Type")) == (method, b"", [])


async def test_get_and_delete_send_a_body_that_is_given(service: Any, rest: MakeRest, delivery: Make) -> None:
    await rest().deliver(delivery(method="DELETE", json={"reason": "deleted"}))
    assert service.heard[0].json == {"reason": "deleted"}


async def test_json_keeps_types_in_nested_templates(service: Any, rest: MakeRest, delivery: Make) -> None:
    fields = {"depth": Decimal("12.500"), "safe": True, "risk": None, "site": "Dock 4", "tags": ["a", "b"]}
    given = {
        "depth": "{{ record.fields.depth }}",
        "facts": {"safe": "{{ record.fields.safe }}", "risk": "{{ record.fields.risk }}"},
        "list": ["{{ record.fields.site }}", {"tags": "{{ record.fields.tags }}"}],
        "text": "at {{ record.fields.site }}",
        "count": 3,
    }
    await rest().deliver(delivery(fields, json=given))
    [heard] = service.heard
    assert heard.json == {
        "depth": 12.5,
        "facts": {"safe": True, "risk": None},
        "list": ["Dock 4", {"tags": ["a", "b"]}],
        "text": "at Dock 4",
        "count": 3,
    }
    assert b"12.500" in heard.body


@pytest.mark.parametrize(("value", "body"), [(["a"], b'["a"]'), (None, b"null"), ("a", b'"a"')])
async def test_json_may_be_one_template(value: Any, body: bytes, service: Any, rest: MakeRest, delivery: Make) -> None:
    await rest().deliver(delivery({"value": value}, json="{{ record.fields.value }}"))
    assert service.heard[0].body == body


async def test_a_form_leaves_null_out_and_repeats_lists(service: Any, rest: MakeRest, delivery: Make) -> None:
    form = {"site": "{{ record.fields.site }}", "risk": "{{ record.fields.risk }}", "tag": "{{ record.fields.tags }}"}
    await rest().deliver(delivery({"site": "Müll & Co", "risk": None, "tags": ["a", "b"]}, form=form))
    [heard] = service.heard
    assert heard.body == b"site=M%C3%BCll+%26+Co&tag=a&tag=b"
    assert heard.all("Content-Type") == ["application/x-www-form-urlencoded"]


async def test_a_body_is_sent_as_text_unless_a_header_says_otherwise(
    service: Any, rest: MakeRest, delivery: Make
) -> None:
    body = "<site>{{ record.fields.site }}</site>"
    await rest().deliver(delivery({"site": "Süd"}, body=body))
    await rest().deliver(delivery({"site": "Süd"}, body=body, headers={"content-type": "application/xml"}))
    assert [one.body.decode() for one in service.heard] == ["<site>Süd</site>"] * 2
    assert [one.all("Content-Type") for one in service.heard] == [["text/plain; charset=utf-8"], ["application/xml"]]


@pytest.mark.parametrize("kind", ["json", "form", "body"])
async def test_half_a_character_is_sent_as_a_question_mark(
    kind: str, service: Any, rest: MakeRest, delivery: Make
) -> None:
    template = "{{ record.fields.site }}"
    await rest().deliver(
        delivery({"site": "a\ud800"}, query={"q": template}, **{kind: template if kind == "body" else {"x": template}})
    )
    [heard] = service.heard
    assert heard.target == "/?q=a%3F"
    assert heard.body in (b'{"x": "a?"}', b"x=a%3F", b"a?")


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("", "", "/"),
        ("/api", "", "/api"),
        ("/api/", "", "/api/"),
        ("/api", "items", "/api/items"),
        ("/api/", "/items", "/api/items"),
        ("", "items/", "/items/"),
        ("", "items?kind=a b", "/items?kind=a%20b"),
        ("", "prüfung", "/pr%C3%BCfung"),
    ],
)
async def test_the_path_is_added_to_the_address(
    base: str, path: str, target: str, service: Any, rest: MakeRest, delivery: Make
) -> None:
    await rest(url=service.url + base).deliver(delivery(path=path))
    assert service.heard[0].target == target


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("Dock 4", "Dock%204"),
        ("a/b", "a%2Fb"),
        ("../admin", "..%2Fadmin"),
        ("a?x=1#y", "a%3Fx%3D1%23y"),
        ("http://evil/", "http%3A%2F%2Fevil%2F"),
        ("%2e%2e", "%252e%252e"),
        ("..\\..", "..%5C.."),
        ("a\r\nHost: evil", "a%0D%0AHost%3A%20evil"),
        ("a\x00", "a%00"),
        ("é+~", "%C3%A9%2B~"),
        ("...", "..."),
        (17, "17"),
    ],
)
async def test_what_is_put_into_a_path_stays_one_segment(
    value: Any, segment: str, service: Any, rest: MakeRest, delivery: Make
) -> None:
    await rest(url=f"{service.url}/api").deliver(delivery({"x": value}, path="sites/{{ record.fields.x }}/state"))
    assert service.heard[0].target == f"/api/sites/{segment}/state"


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("sites/{{ record.fields.dots }}/state", "would leave its place"),
        ("{{ record.fields.dots }}", "would leave its place"),
        ("sites/{{ record.fields.dot }}{{ record.fields.dot }}", "would leave its place"),
        ("sites/{{ record.fields.dot }}%2e", "would leave its place"),
        ("sites/{{ record.fields.dot }}?x=1", "would leave its place"),
        ("sites/{{ record.fields.dots }};x/state", "would leave its place"),
        ("sites/{{ record.fields.cut }}/state", "would leave its place"),
        ("sites#{{ record.fields.dots }}", "is never sent"),
    ],
)
async def test_a_path_that_would_leave_its_place_is_rejected(
    path: str, fault: str, service: Any, rest: MakeRest, delivery: Make
) -> None:
    with pytest.raises(Rejected, match=fault):
        await rest().deliver(delivery({"dots": "..", "dot": ".", "cut": "..;", "none": None}, path=path))
    assert service.heard == []


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("", {"a": "{{ record.fields.none }}", "b": "1"}, "/?b=1"),
        ("", {"a": "{{ record.fields.none }}"}, "/"),
        ("", {"a": "{{ record.fields.list }}"}, "/?a=x&a=y"),
        ("", {"a": ["{{ record.fields.text }}", "z"]}, "/?a=M%C3%BC+%26%2B%3D%23&a=z"),
        ("", {"a": True, "b": 1.5, "c": "{{ record.fields.number }}"}, "/?a=true&b=1.5&c=1.50"),
        ("", {"a": "{{ notification.received }}"}, "/?a=2026-01-02T03%3A04%3A05%2B00%3A00"),
        ("items?x=1", {"a": 2}, "/items?x=1&a=2"),
        ("", {"a&b": "c=d\r\n"}, "/?a%26b=c%3Dd%0D%0A"),
    ],
)
async def test_a_query_leaves_null_out_and_repeats_lists(
    path: str, query: dict[str, Any], target: str, service: Any, rest: MakeRest, delivery: Make
) -> None:
    fields = {"none": None, "list": ["x", None, "y"], "text": "Mü &+=#", "number": Decimal("1.50")}
    await rest().deliver(delivery(fields, path=path, query=query))
    assert service.heard[0].target == target


async def test_headers_of_a_delivery_take_the_place_of_the_destinations(
    service: Any, rest: MakeRest, delivery: Make
) -> None:
    destination = rest(headers={"X-Tenant": "acme", "X-Source": "doforms", "Content-Type": "application/vnd.acme+json"})
    await destination.deliver(delivery({"site": "Dock 4"}, headers={"x-source": "{{ record.fields.site }}"}))
    [heard] = service.heard
    assert [heard.all(name) for name in ("X-Tenant", "X-Source", "Content-Type")] == [
        ["acme"],
        ["Dock 4"],
        ["application/vnd.acme+json"],
    ]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("a\r\nX-Admin: 1", "a line break"),
        ("a\nX-Admin: 1", "a line break"),
        ("a\x00", "a line break or another control character"),
        ("a\x7f", "a line break or another control character"),
        ("Müller", "not ASCII"),
        ("a\u2028b", "not ASCII"),
    ],
)
async def test_a_header_that_would_not_stay_one_is_rejected(
    value: str, fault: str, service: Any, rest: MakeRest, delivery: Make
) -> None:
    with pytest.raises(Rejected, match=f"X-Site would hold .*{fault}"):
        await rest().deliver(delivery({"site": value}, headers={"X-Site": "{{ record.fields.site }}"}))
    assert service.heard == []


async def test_the_filter_that_the_error_names_makes_a_header_of_any_text(
    service: Any, rest: MakeRest, delivery: Make
) -> None:
    headers = {"X-Site": "{{ record.fields.site | urlencode }}"}
    await rest().deliver(delivery({"site": "Müller\r\nX-Admin: 1"}, headers=headers))
    assert service.heard[0].all("X-Site") == ["M%C3%BCller%0D%0AX-Admin%3A%201"]


async def test_times_are_sent_in_iso_8601(service: Any, rest: MakeRest, delivery: Make) -> None:
    moment = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    await rest().deliver(delivery({"at": moment}, form={"at": "{{ record.fields.at }}"}))
    assert service.heard[0].body == b"at=2026-01-02T03%3A04%3A00%2B00%3A00"
