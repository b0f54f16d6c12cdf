"""Reading what doForms POSTs: tolerant of everything but what identifies it."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.doforms.notification import LONGEST_KEY, MOST_BYTES, parse_notification
from gateway.errors import NotANotification
from gateway.models import Event, Notification, RecordKind
from tests.support.properties import json_values, quick, texts

RECEIVED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DOCUMENTED = {
    "key": "abc123",
    "customerKey": "cde123",
    "submissionKey": "def456",
    "webserviceId": "acme$$1234$$Published$$5678",
    "event": "create",
    "status": "new",
    "createTime": "2019-08-20T16:55:20.130Z",
}


def parse(body: bytes, path_event: Event | None = None) -> Notification:
    return parse_notification(body, path_event=path_event, received=RECEIVED)


def parsed(path_event: Event | None = None, **properties: Any) -> Notification:
    """Parse the documented example with other properties; None leaves one out."""
    body = {name: value for name, value in {**DOCUMENTED, **properties}.items() if value is not None}
    return parse(json.dumps(body).encode(), path_event)


def test_the_documented_example_is_read() -> None:
    body = json.dumps(DOCUMENTED).encode()
    assert parse(body) == Notification(
        key="abc123",
        webservice_id="acme$$1234$$Published$$5678",
        event=Event.CREATE,
        status="new",
        customer_key="cde123",
        submission_key="def456",
        dispatch_key=None,
        created=datetime(2019, 8, 20, 16, 55, 20, 130_000, tzinfo=UTC),
        received=RECEIVED,
        body=body,
    )


@pytest.mark.parametrize(
    ("told", "event"),
    [
        ("create", Event.CREATE),
        ("CREATE", Event.CREATE),
        ("Created", Event.CREATE),
        ("added", Event.CREATE),
        ("add", Event.CREATE),
        ("update", Event.UPDATE),
        ("Edited", Event.UPDATE),
        ("edit", Event.UPDATE),
        ("Delete", Event.DELETE),
        ("deleted", Event.DELETE),
        (" delete\n", Event.DELETE),
        ("status", Event.STATUS),
        ("Status Changed", Event.STATUS),
        ("status_changed", Event.STATUS),
        ("STATUS-CHANGED", Event.STATUS),
        ("statusChanged", Event.STATUS),
    ],
)
def test_an_event_is_known_in_any_case_and_either_vocabulary(told: str, event: Event) -> None:
    other = Event.CREATE if event is not Event.CREATE else Event.DELETE
    assert parsed(path_event=other, event=told).event is event


@pytest.mark.parametrize("told", [None, "", "something new", 7, ["create"], {"is": "create"}])
def test_where_the_body_tells_no_known_event_the_path_does_and_else_it_is_an_update(told: Any) -> None:
    assert parsed(path_event=Event.DELETE, event=told).event is Event.DELETE
    assert parsed(event=told).event is Event.UPDATE


def test_only_key_and_web_service_are_needed() -> None:
    one = parse(b'{"key": "k", "webserviceId": "w"}')
    assert (one.key, one.webservice_id, one.event) == ("k", "w", Event.UPDATE)
    assert (one.status, one.customer_key, one.submission_key, one.dispatch_key, one.created) == (None,) * 5


def test_unknown_properties_are_ignored() -> None:
    assert parsed(new={"deep": [1, 2, {"x": None}]}, form="Inspection").key == "abc123"
    assert parsed(new=[[], {}] * 200).key == "abc123"


def test_a_key_may_be_as_long_as_the_store_takes_it_but_not_blank() -> None:
    assert parsed(key="k" * 512).key == "k" * 512
    for key in (" ", "\N{NO-BREAK SPACE}"):
        with pytest.raises(NotANotification, match="`key` is empty"):
            parsed(key=key)


@pytest.mark.parametrize("name", ["status", "customerKey", "createTime"])
@pytest.mark.parametrize("value", [None, 1, True, [], {}])
def test_what_does_not_identify_it_may_be_of_any_type(name: str, value: Any) -> None:
    body = json.dumps({**DOCUMENTED, name: value}).encode()
    one = parse(body)
    read = {"status": one.status, "customerKey": one.customer_key, "createTime": one.created}
    assert read[name] is None


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("2019-08-20T16:55:20.130Z", datetime(2019, 8, 20, 16, 55, 20, 130_000, tzinfo=UTC)),
        ("2019-08-20T18:55:20+02:00", datetime(2019, 8, 20, 16, 55, 20, tzinfo=UTC)),
        ("2019-08-20T16:55:20", datetime(2019, 8, 20, 16, 55, 20, tzinfo=UTC)),
        ("yesterday", None),
        ("9999-12-31T23:59:59-23:59", None),
    ],
)
def test_the_creation_time_is_utc_and_left_out_if_unreadable(told: str, read: datetime | None) -> None:
    created = parsed(createTime=told).created
    assert created == read
    assert created is None or created.tzinfo is UTC


def test_texts_beside_the_keys_are_made_keepable() -> None:
    one = parsed(status="n\x00e\ud800w" + "x" * LONGEST_KEY)
    assert one.status is not None
    assert one.status.startswith("n\N{REPLACEMENT CHARACTER}e\N{REPLACEMENT CHARACTER}w")
    assert len(one.status) == LONGEST_KEY


@pytest.mark.parametrize(
    ("event", "submission", "dispatch", "kind", "key"),
    [
        ("create", "s", None, RecordKind.SUBMISSION, "s"),
        ("create", "s", "d", RecordKind.SUBMISSION, "s"),
        ("create", None, "d", RecordKind.DISPATCH, "d"),
        ("create", "", "d", RecordKind.DISPATCH, "d"),
        ("status", "s", "d", RecordKind.DISPATCH, "d"),
        ("status", "s", None, RecordKind.SUBMISSION, "s"),
        ("create", None, None, None, None),
    ],
)
def test_the_record_is_the_dispatch_for_a_status_event_else_the_submission(
    event: str, submission: str | None, dispatch: str | None, kind: RecordKind | None, key: str | None
) -> None:
    one = parsed(event=event, submissionKey=submission, dispatchKey=dispatch)
    assert (one.record_kind, one.record_key) == (kind, key)


@pytest.mark.parametrize("name", ["key", "webserviceId", "submissionKey", "dispatchKey"])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (" \t", "is empty"),
        (5, "is a number; it must be a text"),
        (False, "is a boolean; it must be a text"),
        ({}, "is an object; it must be a text"),
        (["k"], "is a list; it must be a text"),
        ("k" * (LONGEST_KEY + 1), "has 513 characters; at most 512 are allowed"),
        ("k\x00", "holds a NUL or a lone surrogate"),
        ("k\ud83d", "holds a NUL or a lone surrogate"),
        ("\udc00k", "holds a NUL or a lone surrogate"),
        ("\N{GRINNING FACE}" * 257, "has 1028 bytes in UTF-8; at most 1024 are allowed"),
    ],
)
def test_an_identifier_that_cannot_be_kept_is_refused_by_name(name: str, value: Any, told: str) -> None:
    with pytest.raises(NotANotification, match=f"^`{name}` {told}$"):
        parsed(**{name: value})


@pytest.mark.parametrize("name", ["key", "webserviceId"])
@pytest.mark.parametrize(("value", "told"), [(None, "is missing"), ("", "is empty")])
def test_without_key_or_web_service_it_is_no_notification(name: str, value: str | None, told: str) -> None:
    with pytest.raises(NotANotification, match=f"^`{name}` {told}$"):
        parsed(**{name: value})


def test_an_identifier_of_the_greatest_length_and_beyond_the_basic_plane_is_taken() -> None:
    for key in ("\N{GRINNING FACE}" * (MOST_BYTES // 4), "\N{LATIN SMALL LETTER E WITH ACUTE}" * LONGEST_KEY):
        assert parsed(key=key, submissionKey=key).record_key == key


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b"not json", "not JSON: Expecting value at line 1, column 1"),
        (b'{"key": "a",\n "webserviceId"}', "not JSON: .* at line 2, column 16"),
        (b'{"key": "a", "webserviceId": "w"} {}', "not JSON: Extra data at line 1, column 35"),
        (b"[]", "the body is a JSON list; a notification is an object"),
        (b'"key"', "the body is a JSON text"),
        (b"12", "the body is a JSON number"),
        (b"true", "the body is a JSON boolean"),
        (b"null", "the body is a JSON null"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"key": "a", "webserviceId": "w", "x": ' + b"[" * 100 + b"]" * 100 + b"}", "nested too deep: more than 100"),
        (b'{"key": "a", "webserviceId": "w", "x": ' + b"9" * 5000 + b"}", "not JSON that can be read"),
        (b'{"key": "\xff"}', "not UTF-8 text: byte 9 cannot be decoded"),
        ('{"key": "a", "webserviceId": "w"}'.encode("utf-16"), "not UTF-8 text: byte 0"),
    ],
)
def test_a_body_that_is_no_notification_is_refused_saying_what_is_wrong(body: bytes, told: str) -> None:
    with pytest.raises(NotANotification, match=told):
        parse(body)


def test_nesting_up_to_the_limit_is_taken() -> None:
    assert parse(b'{"key": "a", "webserviceId": "w", "x": ' + b"[" * 99 + b"]" * 99 + b"}").key == "a"


@quick
@given(st.binary(max_size=300))
def test_whatever_comes_is_a_notification_or_refused(body: bytes) -> None:
    with suppress(NotANotification):
        assert parse(body).body == body


@quick
@given(st.dictionaries(st.sampled_from([*DOCUMENTED, "dispatchKey", "other"]), texts | json_values))
def test_whatever_its_properties_hold_it_is_a_notification_or_refused(properties: dict[str, Any]) -> None:
    with suppress(NotANotification):
        one = parse(json.dumps(properties).encode())
        assert (one.key, one.webservice_id) == (properties["key"], properties["webserviceId"])
