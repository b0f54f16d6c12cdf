"""The answer table: a test a row, against a real gateway process and the simulated doForms."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from tests.end_to_end.conftest import FORM, KEY, Make, World

ROW = 'to = "table"\ntable = "plain"\ndelivery_key = "delivery_key"\ncolumns = { record = "{{ record.key }}" }'
FILE = 'to = "folder"\nfilename = "{{ record.key }}.json"'
MAIL = 'to = "office"\nrecipients = ["a@example.com"]\nsubject = "{{ record.key }}"\ntext = "It came."'
CLOSED = 'to = "service"\npath = "closed"\njson = { key = "{{ record.key }}" }'
SLOW = 'to = "service"\npath = "slow"\njson = { key = "{{ record.key }}" }'
OPTIONAL = f"{ROW}\nrequired = false"
DELAYED = 'mode = "delayed"'


async def _answered(world: World, outcome: str | None = None) -> tuple[int | None, bytes]:
    seen = await world.doforms.create(FORM, {"site": "Dock"})
    answer = seen.answers[0]
    if outcome is not None:
        await world.doforms.until(lambda: seen.belief == outcome)
    return answer.status, answer.body


@pytest.mark.parametrize("headers", [{}, {"X-Webhook-Key": "wrong"}, {"X-Webhook-Key": ""}, {"Other": "correct"}])
async def test_without_the_right_secret_it_is_401_and_nothing_is_kept(
    world: World, route: Make, headers: dict[str, str]
) -> None:
    with world.running(route(ROW)):
        seen = world.doforms.compose(FORM, "create", submission_key="r1")
        assert (await world.doforms.post(seen.body, headers=headers)).status == 401
        assert world.stored("SELECT count(*) FROM notifications") == [(0,)]
        assert world.stored("SELECT count(*) FROM quarantine") == [(0,)]


async def test_a_body_over_one_mebibyte_is_413(world: World, route: Make) -> None:
    with world.running(route(ROW)):
        assert (await world.doforms.post(b" " * (1024 * 1024 + 1))).status == 413
        assert (await world.doforms.post(b" " * (1024 * 1024 + 1), headers={})).status == 401


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "empty"),
        (b"not json", "not JSON"),
        (b"[]", "a JSON list"),
        (b'{"webserviceId": "w"}', "`key` is missing"),
        (b'{"key": "", "webserviceId": "w"}', "`key` is empty"),
        (b'{"key": 1, "webserviceId": "w"}', "`key` is a number"),
        (b'{"key": "a\\u0000", "webserviceId": "w"}', "NUL"),
        (b'{"key": "a\\ud800", "webserviceId": "w"}', "surrogate"),
        (b'{"key": "%s", "webserviceId": "w"}' % (b"k" * 513), "513 characters"),
        (b"[" * 100_000, "nested too deep"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
async def test_what_is_no_notification_is_400_and_goes_to_quarantine(
    world: World, route: Make, body: bytes, told: str
) -> None:
    with world.running(route(ROW)):
        answer = await world.doforms.post(body)
        assert answer.status == 400
        assert told in json.loads(answer.body)["error"]
        assert world.stored("SELECT body FROM quarantine") == [(body,)]


async def test_beyond_the_backlog_limit_it_is_503_with_retry_after_and_a_repeat_still_200(
    world: World, route: Make
) -> None:
    with world.running(route(SLOW, head=DELAYED), gateway="backlog_limit = 1"):
        first = world.doforms.compose(FORM, "create", submission_key="r1")
        world.doforms.world.put(FORM, "r1", {})
        assert (await world.doforms.post(first.body)).status == 200
        for _ in range(100):
            other = world.doforms.compose(FORM, "create", submission_key="r1")
            answer = await world.doforms.post(other.body)
            if answer.status == 503:
                break
            await asyncio.sleep(0.05)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        assert (await world.doforms.post(first.body)).status == 200


async def test_an_immediate_route_answers_completed(world: World, route: Make) -> None:
    with world.running(route(ROW)):
        assert await _answered(world) == (200, b'{"status": "completed"}')
        assert len(world.rows("SELECT * FROM plain")) == 1


async def test_an_immediate_route_that_is_rejected_answers_failed(world: World, route: Make) -> None:
    with world.running(route(CLOSED)):
        assert await _answered(world) == (200, b'{"status": "failed"}')


async def test_a_delayed_route_answers_an_empty_200_and_puts(world: World, route: Make) -> None:
    with world.running(route(ROW, head=DELAYED)):
        assert await _answered(world, "completed") == (200, b"")
        [seen] = world.doforms.notifications.values()
        assert seen.puts == ["completed"]


async def test_an_overrun_is_answered_empty_in_time_happens_once_and_one_put_follows(world: World, route: Make) -> None:
    with world.running(route(SLOW)):
        seen = await world.doforms.create(FORM, {"site": "Dock"})
        answer = seen.answers[0]
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-length"] == "0"
        assert answer.seconds < 1.2
        await world.doforms.until(lambda: seen.belief == "completed")
        await asyncio.sleep(1.0)
        assert seen.puts == ["completed"]
        assert len(world.rest.taken) == 1


@pytest.mark.parametrize(
    ("head", "answered"), [("", b'{"status": "completed"}'), (DELAYED, b"")], ids=["immediate", "delayed"]
)
async def test_fifty_repeats_at_once_are_one_notification(
    world: World, route: Make, head: str, answered: bytes
) -> None:
    with world.running(route(ROW, FILE, MAIL, head=head)):
        world.doforms.world.put(FORM, "r1", {"site": "Dock"})
        seen = world.doforms.compose(FORM, "create", submission_key="r1")
        answers = await asyncio.gather(*(world.doforms.send(seen) for _ in range(50)))
        assert {answer.status for answer in answers} == {200}
        assert {answer.body for answer in answers} <= {b"", answered}
        await world.doforms.until(lambda: seen.belief == "completed")
        await asyncio.sleep(1.5)
        assert len(world.rows("SELECT * FROM plain")) == 1
        assert len(list((world.folder / "files").iterdir())) == 1
        assert len(world.mail.mails) == 1
        assert seen.puts == ["completed"] if head else len(seen.puts) <= 1


async def test_a_repeat_gets_the_outcome_once_it_is_known(world: World, route: Make) -> None:
    with world.running(route(ROW, head=DELAYED)):
        seen = await world.doforms.create(FORM, {})
        await world.doforms.until(lambda: seen.belief == "completed")
        assert (await world.doforms.post(seen.body)).body == b'{"status": "completed"}'
        assert len(world.rows("SELECT * FROM plain")) == 1


@pytest.mark.parametrize(
    ("unmatched", "body", "alarms"),
    [("keep", b"", 1), ("fail", b'{"status": "failed"}', 1), ("complete", b'{"status": "completed"}', 0)],
)
@pytest.mark.parametrize("webservice", [FORM, "stranger$$1"])
async def test_an_unmatched_notification_is_answered_as_configured_and_kept(
    world: World, route: Make, unmatched: str, body: bytes, alarms: int, webservice: str
) -> None:
    with world.running(route(ROW, form="Other"), gateway=f'unmatched = "{unmatched}"'):
        seen = world.doforms.compose(webservice, "create", submission_key="r1")
        answer = await world.doforms.post(seen.body)
        assert (answer.status, answer.body) == (200, body)
        assert world.stored("SELECT count(*) FROM notifications") == [(1,)]
        assert world.stored("SELECT count(*) FROM alarms") == [(alarms,)]


@pytest.mark.parametrize("head", ["", DELAYED])
async def test_where_no_delivery_counts_it_is_completed_at_once(world: World, route: Make, head: str) -> None:
    with world.running(route(OPTIONAL, head=head)):
        assert await _answered(world) == (200, b'{"status": "completed"}')


async def test_where_all_deliveries_are_skipped_it_is_completed(world: World, route: Make) -> None:
    never = "when = \"record.fields.site == 'Pier'\"\n"
    with world.running(route(never + ROW)):
        assert await _answered(world) == (200, b'{"status": "completed"}')
        assert world.rows("SELECT * FROM plain") == []


async def test_other_methods_are_405(world: World, route: Make) -> None:
    with world.running(route(ROW)) as gateway:
        async with httpx.AsyncClient() as http:
            for method in ("GET", "PUT", "DELETE", "HEAD"):
                assert (await http.request(method, gateway.url, headers=KEY)).status_code == 405


@pytest.mark.parametrize(
    ("path", "event"), [("/added", "create"), ("/edited", "update"), ("/deleted", "delete"), ("/status", "status")]
)
async def test_the_path_tells_the_event_where_the_body_does_not(
    world: World, route: Make, path: str, event: str
) -> None:
    with world.running(route(ROW)):
        body = json.dumps({"key": "k1", "webserviceId": FORM, "submissionKey": "r1"}).encode()
        assert (await world.doforms.post(body, path=path)).status == 200
        assert world.stored("SELECT event FROM notifications") == [(event,)]
