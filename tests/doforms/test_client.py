"""The client against the simulated doForms, and against servers that behave badly, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from gateway.doforms.client import Credentials, DoformsClient, quota_ends
from gateway.doforms.failures import (
    BadKey,
    Forbidden,
    Gone,
    Later,
    NoAnswer,
    NotAListing,
    NotARecord,
    Quota,
    Refused,
    Unauthorised,
    WrongApi,
)
from gateway.doforms.record import decode_record
from gateway.doforms.simulator import Simulator
from gateway.errors import DoformsError
from gateway.http import build_client
from gateway.models import Outcome, RecordKind
from tests.support.heartbeat import heartbeat
from tests.support.tcp import raw_server, unused_port

WEBSERVICE = "acme$$1234$$Published$$5678"
PASSWORD = "se:cr€t"
KEY = "ag$/b c%é?#"


BROKEN = {
    "breaks off": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "bad gzip": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "another coding": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
}
"""Answers with a status, and with a body that is no whole one."""


# One simulator and one client serve the whole module: to end a server takes longer than any test here.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def simulator() -> AsyncIterator[Simulator]:
    made = Simulator()
    made.add_webservice(WEBSERVICE, PASSWORD, "Site inspection")
    async with made.serving():
        yield made


@pytest.fixture
def doforms(simulator: Simulator) -> Simulator:
    simulator.requests.clear()
    simulator.faults.clear()
    simulator.notifications.clear()
    simulator.put_record(WEBSERVICE, KEY, {"site": "Dock"})
    simulator.put_record(WEBSERVICE, KEY, {"status": "Sent"}, kind="dispatch")
    return simulator


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(simulator: Simulator) -> AsyncIterator[DoformsClient]:
    async with build_client(timeout=0.3) as http:
        yield DoformsClient(http=http, within=1.0, largest=2000)


def credentials(api: str, password: str = PASSWORD) -> Credentials:
    return Credentials(api=api, webservice_id=WEBSERVICE, password=SecretStr(password))


async def fetch(client: DoformsClient, doforms: Simulator, key: str = KEY) -> bytes:
    return await client.fetch(credentials(doforms.api), RecordKind.SUBMISSION, key)


async def report(client: DoformsClient, doforms: Simulator, key: str) -> None:
    await client.report(credentials(doforms.api), key, Outcome.COMPLETED)


@pytest.mark.parametrize(
    ("kind", "path", "answer"),
    [
        (RecordKind.SUBMISSION, f"/api/v2/submissions/{KEY}", {"site": "Dock"}),
        (RecordKind.DISPATCH, f"/api/v2/dispatches/{KEY}", {"status": "Sent"}),
    ],
)
async def test_a_record_is_fetched_by_its_key_whatever_signs_that_holds(
    client: DoformsClient, doforms: Simulator, kind: RecordKind, path: str, answer: dict[str, Any]
) -> None:
    body = await client.fetch(credentials(doforms.api + "/"), kind, KEY)
    assert decode_record(body, kind=kind).fields == answer
    [request] = doforms.requests
    assert (request.method, request.path, request.webservice_id) == ("GET", path, WEBSERVICE)


async def test_keys_are_percent_encoded_as_one_segment_and_the_token_is_raw(client: DoformsClient) -> None:
    async with raw_server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as server:
        with pytest.raises(Gone):
            await client.fetch(credentials(f"{server.url}/api"), RecordKind.SUBMISSION, "a$/../b c%")
    [head] = server.requests
    assert head.startswith(b"GET /api/submissions/a$%2F..%2Fb%20c%25 HTTP/1.1\r\n")
    assert f"\r\nauthorization: Bearer {WEBSERVICE}:{PASSWORD}\r\n".encode() in head


@pytest.mark.parametrize("outcome", Outcome)
async def test_an_outcome_is_put_to_the_notification(
    client: DoformsClient, doforms: Simulator, outcome: Outcome
) -> None:
    seen = doforms.compose(WEBSERVICE, "create", submission_key=KEY, key="n$/1")
    await client.report(credentials(doforms.api), "n$/1", outcome)
    assert (seen.puts, seen.belief) == ([outcome.value], outcome.value)


async def test_a_success_that_says_that_the_quota_is_used_up_is_no_report(
    client: DoformsClient, doforms: Simulator
) -> None:
    doforms.faults.add(status=200, body=b"Web service error: Over quota.")
    with pytest.raises(Quota):
        await report(client, doforms, "n1")


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"status": "completed"}'])
async def test_any_success_is_a_report_that_was_heard(client: DoformsClient, doforms: Simulator, body: bytes) -> None:
    doforms.faults.add(status=202, body=body)
    await report(client, doforms, "n1")


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, Refused),
        (401, Unauthorised),
        (403, Forbidden),
        (404, Gone),
        (410, Gone),
        (422, Refused),
        (302, WrongApi),
        (408, Later),
        (409, Later),
        (418, Later),
        (429, Later),
        (500, Later),
        (503, Later),
    ],
)
async def test_a_failure_is_named_by_what_follows_from_it(
    client: DoformsClient, doforms: Simulator, status: int, failure: type[DoformsError]
) -> None:
    doforms.faults.add(status=status, body=b"why\n it failed", headers={"Location": "/elsewhere"}, times=2)
    with pytest.raises(failure, match=rf"doForms answered {status} for the submission .*: why it failed") as fetching:
        await fetch(client, doforms)
    with pytest.raises(failure, match=rf"doForms answered {status} for the notification n1: why it failed"):
        await report(client, doforms, "n1")
    if isinstance(fetching.value, Later):
        assert (fetching.value.status, fetching.value.retry_after) == (status, None)
    assert len(doforms.requests) == 2


async def test_what_doforms_does_not_know_is_gone(client: DoformsClient, doforms: Simulator) -> None:
    with pytest.raises(Gone):
        await fetch(client, doforms, "another")
    with pytest.raises(Gone):
        await report(client, doforms, "another")


async def test_a_wrong_password_says_what_to_look_at_and_does_not_show_it(
    client: DoformsClient, doforms: Simulator
) -> None:
    wrong = credentials(doforms.api, "not-it")
    with pytest.raises(Unauthorised, match="Look whether the web service's id and password are right") as raised:
        await client.fetch(wrong, RecordKind.SUBMISSION, KEY)
    assert "not-it" not in str(raised.value) + repr(wrong)


async def test_retry_after_is_passed_on(client: DoformsClient, doforms: Simulator) -> None:
    doforms.faults.add(status=429, headers={"Retry-After": "17"})
    with pytest.raises(Later) as raised:
        await fetch(client, doforms)
    assert (raised.value.status, raised.value.retry_after) == (429, 17.0)


@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
@pytest.mark.parametrize("text", ["Daily web service quota exceeded.", "Web service error: Over quota.", "OVER QUOTA"])
async def test_a_quota_is_known_by_its_text_at_any_status_and_lasts_until_midnight_utc(
    client: DoformsClient, doforms: Simulator, status: int, text: str
) -> None:
    doforms.faults.add(status=status, body=text.encode())
    before = datetime.now(UTC)
    with pytest.raises(Quota, match=text) as raised:
        await fetch(client, doforms)
    assert raised.value.until == quota_ends(before)


@pytest.mark.parametrize(
    ("said_at", "ends"),
    [
        ("2026-01-31T23:59:59", "2026-02-01T00:00:00"),
        ("2026-02-01T00:00:01", "2026-02-01T00:15:00"),
        ("2026-02-01T00:15:00", "2026-02-02T00:00:00"),
        ("2026-02-01T12:00:00", "2026-02-02T00:00:00"),
    ],
)
async def test_what_doforms_says_of_the_quota_right_after_midnight_may_be_about_the_day_before(
    said_at: str, ends: str
) -> None:
    assert quota_ends(datetime.fromisoformat(f"{said_at}+00:00")) == datetime.fromisoformat(f"{ends}+00:00")


async def test_report_goes_to_the_url_for_outcomes_with_the_same_token(
    client: DoformsClient, doforms: Simulator
) -> None:
    elsewhere = replace(credentials("http://127.0.0.1:9/v2"), notifications=f"{doforms.api}/notifications/{{key}}")
    seen = doforms.compose(WEBSERVICE, "create", submission_key=KEY, key="n$/1")
    await client.report(elsewhere, "n$/1", Outcome.COMPLETED)
    assert seen.puts == ["completed"]


async def test_a_report_too_meets_the_quota(client: DoformsClient, doforms: Simulator) -> None:
    doforms.faults.add(status=403, body=b"Over quota")
    with pytest.raises(Quota):
        await report(client, doforms, "n1")


async def test_a_record_that_speaks_of_a_quota_is_a_record(client: DoformsClient, doforms: Simulator) -> None:
    doforms.put_record(WEBSERVICE, KEY, {"remark": "Daily web service quota exceeded."})
    assert b"quota exceeded" in await fetch(client, doforms)
    doforms.faults.add(status=200, body=json.dumps({"key": KEY, "remark": "Over quota."}).encode())
    assert b"Over quota" in await fetch(client, doforms)
    doforms.faults.add(status=200, body=b'{"id": "E7", "message": "Over quota."}')
    with pytest.raises(Quota):
        await fetch(client, doforms)


@pytest.mark.parametrize("body", [b"", b" \n"])
async def test_an_empty_success_is_no_record(client: DoformsClient, doforms: Simulator, body: bytes) -> None:
    doforms.faults.add(status=200, body=body)
    with pytest.raises(NotARecord, match="empty body"):
        await fetch(client, doforms)


async def test_a_body_beyond_all_measure_is_not_read_to_its_end(client: DoformsClient, doforms: Simulator) -> None:
    doforms.faults.add(status=200, body=b"x" * 2001)
    with pytest.raises(NotARecord, match="more than 2000 bytes"):
        await fetch(client, doforms)


async def test_a_refused_connection_is_later_and_says_where(client: DoformsClient) -> None:
    port = unused_port()
    told = rf"GET http://127\.0\.0\.1:{port}/submissions/k failed: Cannot connect to host"
    with pytest.raises(Later, match=told) as raised:
        await client.fetch(credentials(f"http://127.0.0.1:{port}"), RecordKind.SUBMISSION, "k")
    assert (raised.value.status, raised.value.retry_after) == (None, None)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        None,
    ],
    ids=["hangs up", "no HTTP", "no status", "says nothing"],
)
async def test_an_answer_that_makes_no_sense_is_later(client: DoformsClient, answer: bytes | None) -> None:
    async with raw_server(answer) as server:
        with pytest.raises(Later, match=r"PUT http.* failed: \w"):
            await client.report(credentials(server.url), "k", Outcome.FAILED)
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_broken_answer_to_a_report_counts_by_its_status_and_a_record_must_come_whole(
    client: DoformsClient, answer: bytes
) -> None:
    async with raw_server(answer) as server:
        await client.report(credentials(server.url), "k", Outcome.FAILED)
        with pytest.raises(Later, match=r"GET http.* was answered 200, but the body (failed: \w|had no end)") as caught:
            await client.fetch(credentials(server.url), RecordKind.SUBMISSION, "k")
    assert not isinstance(caught.value, NoAnswer), "doForms did answer: it is not silent"
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [401, 404, 422, 503])
async def test_broken_answer_that_is_no_success_counts_by_its_status(client: DoformsClient, status: int) -> None:
    failures = {401: Unauthorised, 404: Gone, 422: Refused, 503: Later}
    answer = f"HTTP/1.1 {status} Whatever\r\nContent-Length: 100\r\n\r\nwhy it failed".encode()
    async with raw_server(answer) as server:
        with pytest.raises(failures[status], match=f"doForms answered {status} .*: why it failed") as caught:
            await client.fetch(credentials(server.url), RecordKind.SUBMISSION, "k")
    assert not isinstance(caught.value, NoAnswer)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_names_its_target_and_what_to_put_right(client: DoformsClient, status: int) -> None:
    head = f"HTTP/1.1 {status} Moved\r\nConnection: close\r\nContent-Length: 0\r\n"
    answer = f"{head}Location: https://new.example/api/v3\r\n\r\n".encode()
    async with raw_server(answer) as server:
        moment = datetime.now(UTC)
        for call in (
            client.fetch(credentials(server.url), RecordKind.SUBMISSION, "k"),
            client.report(credentials(server.url), "k", Outcome.FAILED),
            client.list_submissions(credentials(server.url), moment, moment),
        ):
            with pytest.raises(WrongApi, match=rf"answered {status} .*'https://new\.example/api/v3'.*`api` is not"):
                await call
    assert len(server.requests) == 3


@pytest.mark.parametrize("key", ["", ".", "..", "..;x", ".;", "\ud800"])
async def test_key_that_leads_elsewhere_is_never_asked_for(client: DoformsClient, key: str) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as server:
        for call in (
            client.fetch(credentials(server.url), RecordKind.SUBMISSION, key),
            client.report(credentials(server.url), key, Outcome.FAILED),
        ):
            with pytest.raises(BadKey, match="cannot be asked for"):
                await call
    assert server.requests == []


async def test_record_that_is_a_bomb_is_refused_at_its_limit_while_the_loop_goes_on() -> None:
    packed = gzip.compress(bytes(300_000_000), 1)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    async with raw_server(head + packed) as server, build_client() as http, heartbeat() as beats:
        small = DoformsClient(http=http, largest=20_000_000)
        calls = [small.fetch(credentials(server.url), RecordKind.SUBMISSION, "k") for _ in range(4)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, NotARecord) for end in ends)
    assert beats.longest < 5.0


async def test_record_that_came_compressed_is_read() -> None:
    body = json.dumps({"key": "k", "fields": [], "more": "x" * 500_000}).encode()
    packed = gzip.compress(body)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    async with raw_server(head + packed) as server, build_client() as http:
        got = await DoformsClient(http=http).fetch(credentials(server.url), RecordKind.SUBMISSION, "k")
    assert got == body


async def test_record_with_a_long_cookie_is_fetched(client: DoformsClient) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=" + b"x" * 60_000 + b'\r\nContent-Length: 23\r\n\r\n{"key":"k","fields":[]}'
    )
    async with raw_server(answer) as server:
        got = await client.fetch(credentials(server.url), RecordKind.SUBMISSION, "k")
    assert got == b'{"key":"k","fields":[]}'


async def test_an_address_that_is_none_is_later(client: DoformsClient) -> None:
    for api in ("http://[::", "ftp://127.0.0.1", ""):
        with pytest.raises(Later):
            await client.fetch(credentials(api), RecordKind.SUBMISSION, "k")


async def test_a_whole_call_has_a_limit_that_steps_in_time_do_not_extend(doforms: Simulator) -> None:
    doforms.faults.add(status=None, hang=True)
    async with build_client(timeout=5.0) as http:
        hurried = DoformsClient(http=http, within=0.1)
        with pytest.raises(Later, match=r"was not answered within 0\.1 s"):
            await hurried.fetch(credentials(doforms.api), RecordKind.SUBMISSION, KEY)


async def test_records_are_listed_by_the_time_they_were_received(client: DoformsClient, doforms: Simulator) -> None:
    begin = datetime.now(UTC) - timedelta(minutes=1)
    doforms.put_record(WEBSERVICE, "second", {"site": "Mill"}, id="2")

    found = await client.list_submissions(credentials(doforms.api), begin, begin + timedelta(minutes=2))

    assert {(one.key, one.id) for one in found} >= {(KEY, f"id-{KEY}"), ("second", "2")}
    nothing = await client.list_submissions(credentials(doforms.api), begin - timedelta(minutes=1), begin)
    assert nothing == []


@pytest.mark.parametrize(
    ("body", "error"),
    [(b"Daily web service quota exceeded.", Quota), (b'{"error": "no"}', NotAListing), (b"", NotAListing)],
)
async def test_a_success_that_is_no_listing_is_told_apart(
    client: DoformsClient, doforms: Simulator, body: bytes, error: type[DoformsError]
) -> None:
    doforms.faults.add(status=200, body=body)
    moment = datetime.now(UTC)
    with pytest.raises(error):
        await client.list_submissions(credentials(doforms.api), moment, moment)
