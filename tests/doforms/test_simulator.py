"""The simulated doForms against a target whose answers are scripted, over real sockets."""

from __future__ import annotations

import ast
import asyncio
import json
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from sys import stdlib_module_names
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.doforms import simulator as package
from gateway.doforms.simulator import Simulator, control_routes
from gateway.doforms.simulator import field as doforms_field
from gateway.doforms.simulator.server import serve

FORM = "acme$$1234$$Published$$5678"
OTHER = "acme$$1234$$Published$$9"
TOKEN = {"Authorization": f"Bearer {FORM}:se:cr=et"}
OTHER_TOKEN = {"Authorization": f"Bearer {OTHER}:other"}
COMPLETED = (200, b'{"status": "completed"}')
SILENCE = None


@dataclass
class Target:
    """A gateway that answers as it is told; the last answer stays."""

    script: list[tuple[int, bytes] | None] = field(default_factory=lambda: [(200, b"")])
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def keys(self) -> list[str]:
        return [json.loads(body)["key"] for _, _, body in self.got]

    def application(self) -> Starlette:
        return Starlette(routes=[Route("/hook{rest:path}", self._hook, methods=["POST"])])

    async def _hook(self, request: Request) -> Response:
        self.got.append((request.url.path, dict(request.headers), await request.body()))
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if answer is None:
            await self.over.wait()
            return Response(b"", 200)
        return Response(answer[1], answer[0])


@pytest.fixture
def target() -> Target:
    return Target()


@pytest.fixture
async def doforms(target: Target) -> AsyncIterator[Simulator]:
    made = Simulator(headers={"X-Webhook-Key": "key"}, answer_limit=0.3, repeat_after=(0.05, 0.05))
    made.add_webservice(FORM, "se:cr=et", "Site inspection", "Safety")
    made.add_webservice(OTHER, "other")
    async with (
        serve(target.application(), host="127.0.0.1", port=0, closing=target.over.set) as address,
        made.serving(*control_routes(made)),
    ):
        made.target = f"{address}/hook"
        yield made


@pytest.fixture
async def http(doforms: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=doforms.api, headers=TOKEN, timeout=5.0) as client:
        yield client


async def test_a_notification_looks_as_the_protocol_says(doforms: Simulator, target: Target) -> None:
    seen = await doforms.create(FORM, {"site": "Dock"}, key="r1")
    [(path, headers, raw)] = target.got
    body = json.loads(raw)
    assert (path, headers["x-webhook-key"], headers["content-type"]) == ("/hook", "key", "application/json")
    made = datetime.fromisoformat(body.pop("createTime"))
    assert abs(datetime.now(UTC) - made) < timedelta(seconds=5)
    assert body == {
        "key": seen.key,
        "customerKey": "customer",
        "webserviceId": FORM,
        "submissionKey": "r1",
        "event": "create",
        "status": "new",
    }


@pytest.mark.parametrize(
    ("answer", "belief", "heard"),
    [
        ((200, b""), "received", None),
        ((202, b"thanks"), "received", None),
        (COMPLETED, "completed", "answer"),
        ((200, b'{"status": "failed"}'), "failed", "answer"),
        ((401, b'{"status": "completed"}'), "failed", "answer"),
        ((302, b""), "failed", "answer"),
    ],
)
async def test_an_answer_is_read_as_doforms_reads_it(
    doforms: Simulator, target: Target, answer: tuple[int, bytes], belief: str, heard: str | None
) -> None:
    target.script = [answer]
    sent = await doforms.create(FORM)
    assert (sent.belief, sent.heard) == (belief, heard)
    assert doforms.notifications[sent.key] is sent
    assert [(one.status, one.body) for one in sent.answers] == [answer]
    await asyncio.sleep(0.15)
    assert len(target.got) == 1


async def test_after_a_5xx_it_is_sent_again_with_the_same_key(doforms: Simulator, target: Target) -> None:
    target.script = [(503, b'{"status": "completed"}'), COMPLETED]
    sent = await doforms.create(FORM)
    assert (sent.belief, [one.status for one in sent.answers]) == ("new", [503])
    await doforms.until(lambda: sent.belief == "completed", timeout=2)
    assert target.keys == [sent.key] * 2
    assert target.got[0][2] == target.got[1][2]


async def test_silence_is_given_up_after_the_limit_and_repeated(doforms: Simulator, target: Target) -> None:
    target.script = [SILENCE, (200, b"")]
    sent = await doforms.create(FORM)
    [answer] = sent.answers
    assert answer.status is None
    assert "no answer within 0.3 s" in answer.error
    assert 0.25 < answer.seconds < 1.0
    await doforms.until(lambda: sent.belief == "received", timeout=2)
    assert target.keys == [sent.key] * 2


async def test_repeats_end_with_the_list(doforms: Simulator, target: Target) -> None:
    target.script = [(500, b"")]
    sent = await doforms.create(FORM)
    await doforms.until(lambda: len(sent.answers) == 3, timeout=2)
    await asyncio.sleep(0.15)
    assert (len(target.got), sent.belief, sent.heard) == (3, "new", None)


async def test_a_target_that_is_not_there_is_an_error_in_the_answer(doforms: Simulator, unused_tcp_port: int) -> None:
    doforms.target = f"http://127.0.0.1:{unused_tcp_port}"
    sent = await doforms.create(FORM)
    assert sent.answers[0].status is None
    assert "ConnectError" in sent.answers[0].error
    await doforms.until(lambda: len(sent.answers) == 3, timeout=2)


async def test_each_event_changes_the_record_and_names_it(
    doforms: Simulator, target: Target, http: httpx.AsyncClient
) -> None:
    await doforms.create(FORM, key="r1", fields=[{"name": "site", "data": "text", "type": "text", "text": "Dock"}])
    await doforms.update(FORM, "r1", {"site": "Pier"})
    assert (await http.get("submissions/r1")).json()["fields"][0]["text"] == "Pier"
    await doforms.delete(FORM, "r1")
    assert (await http.get("submissions/r1")).status_code == 404
    await doforms.status(FORM, "d1", {"state": "Viewed"})
    assert (await http.get("dispatches/d1")).json()["key"] == "d1"
    bodies = [json.loads(body) for _, _, body in target.got]
    assert [(one["event"], one.get("submissionKey"), one.get("dispatchKey")) for one in bodies] == [
        ("create", "r1", None),
        ("update", "r1", None),
        ("delete", "r1", None),
        ("status", None, "d1"),
    ]


async def test_paths_tell_the_event(target: Target) -> None:
    doforms = Simulator(paths=True)
    doforms.add_webservice(FORM, "x")
    async with (
        serve(target.application(), host="127.0.0.1", port=0, closing=target.over.set) as address,
        doforms.serving(),
    ):
        doforms.target = f"{address}/hook"
        await doforms.create(FORM, key="r1")
        await doforms.update(FORM, "r1")
        await doforms.status(FORM, "d1")
        await doforms.delete(FORM, "r1")
        await doforms.notify(FORM, "unheard-of", submission_key="r1")
    paths = [path for path, _, _ in target.got]
    assert paths == ["/hook/added", "/hook/edited", "/hook/status", "/hook/deleted", "/hook"]


async def test_a_body_and_raw_bytes_can_be_given(doforms: Simulator, target: Target) -> None:
    await doforms.notify(FORM, "create", key="k1", body={"key": "k1", "odd": Decimal("1.10")})
    answer = await doforms.post(b"\xff", path="/added", headers={})
    assert answer.status == 200
    assert target.got[0][2] == b'{"key": "k1", "odd": 1.10}'
    path, headers, body = target.got[1]
    assert (path, body, "x-webhook-key" in headers) == ("/hook/added", b"\xff", False)
    assert list(doforms.notifications) == ["k1"]


async def test_a_put_tells_the_outcome_once_and_for_all_to_see(doforms: Simulator, http: httpx.AsyncClient) -> None:
    sent = await doforms.notify(FORM, "create", submission_key="r1", key="k$1/2")
    answer = await http.put(f"notifications/{quote(sent.key, safe='')}", json={"status": "completed"})
    assert answer.status_code == 200
    assert (answer.json()["key"], answer.json()["status"]) == ("k$1/2", "completed")
    assert (sent.belief, sent.status, sent.heard, sent.puts) == ("completed", "completed", "put", ["completed"])
    [(status, seconds)] = sent.reports
    assert status == "completed"
    assert 0 < seconds < 5


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'"completed"', b'{"status": "new"}', b'{"status": []}', b"\xff"])
async def test_a_put_without_a_final_status_is_400(doforms: Simulator, http: httpx.AsyncClient, body: bytes) -> None:
    sent = await doforms.create(FORM)
    assert (await http.put(f"notifications/{sent.key}", content=body)).status_code == 400
    assert sent.belief == "received"


async def test_unknown_is_404_and_of_another_web_service_is_403(doforms: Simulator, http: httpx.AsyncClient) -> None:
    sent = await doforms.create(FORM, key="r1")
    doforms.put_record(FORM, "d1", [], kind="dispatch")
    final = {"status": "completed"}
    assert (await http.put("notifications/nobody", json=final)).status_code == 404
    assert (await http.put(f"notifications/{sent.key}", json=final, headers=OTHER_TOKEN)).status_code == 403
    assert sent.belief == "received"
    for path in ("submissions/r1", "dispatches/d1"):
        assert (await http.get(path)).status_code == 200
        assert (await http.get(path, headers=OTHER_TOKEN)).status_code == 403
    for path in ("submissions/d1", "dispatches/r1", "submissions/nobody", "elsewhere"):
        assert (await http.get(path)).status_code == 404


@pytest.mark.parametrize(
    "token", ["", f"Bearer {FORM}:wrong", f"Basic {FORM}:se:cr=et", "Bearer who:se:cr=et", "Bearer"]
)
async def test_without_the_right_token_it_is_401(doforms: Simulator, token: str) -> None:
    doforms.put_record(FORM, "r1", {})
    async with httpx.AsyncClient(headers={"Authorization": token} if token else {}) as stranger:
        assert (await stranger.get(f"{doforms.api}/submissions/r1")).status_code == 401
        assert (await stranger.put(f"{doforms.api}/notifications/r1", json={})).status_code == 401
    assert [(one.status, one.webservice_id) for one in doforms.requests] == [(401, None)] * 2


async def test_keys_and_ids_come_percent_encoded(doforms: Simulator, http: httpx.AsyncClient) -> None:
    ident = "acme$$7$$a/b c%41é"
    doforms.put_record(FORM, "r$1", {}, id=ident)
    for name in ("r$1", ident):
        assert (await http.get(f"submissions/{quote(name, safe='')}")).json()["id"] == ident
    assert [one.path for one in doforms.requests] == ["/api/v2/submissions/r$1", f"/api/v2/submissions/{ident}"]


async def test_a_listing_begins_inclusive_and_ends_exclusive(doforms: Simulator, http: httpx.AsyncClient) -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    for number in range(4):
        received = noon + timedelta(hours=number)
        doforms.world.put(FORM, f"r{number}", {}, received=received)
    doforms.put_record(OTHER, "foreign", {})
    doforms.put_record(FORM, "d1", {}, kind="dispatch")

    async def keys(**params: Any) -> list[str]:
        return [one["key"] for one in (await http.get("submissions", params=params)).json()]

    assert await keys() == ["r0", "r1", "r2", "r3"]
    window = {"receiveTimeBegin": "2026-01-31T13:00:00+01:00", "receiveTimeEnd": "2026-01-31T14:00:00Z"}
    assert await keys(**window) == ["r0", "r1"]
    assert await keys(**window, skip=1, limit=5) == ["r1"]
    assert await keys(limit=2, skip=1) == ["r1", "r2"]
    assert (await http.get("submissions")).json()[0] == {"key": "r0", "id": "id-r0"}


@pytest.mark.parametrize(
    "query", ["limit=x", "skip=-1", "receiveTimeBegin=yesterday", "receiveTimeEnd=2026-01-31T00:00"]
)
async def test_a_wrong_listing_is_400(http: httpx.AsyncClient, query: str) -> None:
    assert (await http.get(f"submissions?{query}")).status_code == 400


async def test_a_fault_hits_the_next_matching_requests(doforms: Simulator, http: httpx.AsyncClient) -> None:
    doforms.put_record(FORM, "r$1", {})
    doforms.faults.add(
        method="GET", path_contains="/submissions/r$", status=429, body=b"slow", times=2, headers={"Retry-After": "7"}
    )
    assert (await http.get("submissions")).status_code == 200
    first = await http.get("submissions/r%241")
    assert (first.status_code, first.content, first.headers["retry-after"]) == (429, b"slow", "7")
    assert [(await http.get("submissions/r%241")).status_code for _ in range(2)] == [429, 200]
    doforms.faults.add(status=503, times=None)
    assert {(await http.get("submissions")).status_code for _ in range(5)} == {503}
    doforms.faults.clear()
    assert (await http.get("submissions")).status_code == 200
    with pytest.raises(ValueError, match="times is 0"):
        doforms.faults.add(times=0)


async def test_a_fault_can_delay_and_hang(doforms: Simulator, http: httpx.AsyncClient) -> None:
    doforms.faults.add(status=None, delay=0.2)
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert (await http.get("submissions")).status_code == 200
    assert loop.time() - started >= 0.2
    doforms.faults.add(hang=True)
    with pytest.raises(httpx.ReadTimeout):
        await http.get("submissions", timeout=0.2)
    assert [one.status for one in doforms.requests] == [200, None]


async def test_what_hangs_does_not_hold_the_end_up() -> None:
    doforms = Simulator()
    doforms.faults.add(hang=True)
    doforms.faults.add(delay=60.0)
    loop = asyncio.get_running_loop()
    async with httpx.AsyncClient() as http:
        async with doforms.serving():
            waiting = [asyncio.create_task(http.get(f"{doforms.api}/submissions")) for _ in range(2)]
            await doforms.until(lambda: doforms.requests)
            started = loop.time()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert loop.time() - started < 2.0


async def test_a_record_can_be_readable_by_its_key_only_later(doforms: Simulator, http: httpx.AsyncClient) -> None:
    doforms.readable_after("r1", 0.2)
    doforms.readable_after("r2", math.inf)
    for key in ("r1", "r2"):
        doforms.put_record(FORM, key, {}, id=f"id${key}")
        assert (await http.get(f"submissions/{key}")).status_code == 404
        assert (await http.get(f"submissions/id${key}")).status_code == 200
    await asyncio.sleep(0.25)
    assert (await http.get("submissions/r1")).status_code == 200
    assert (await http.get("submissions/r2")).status_code == 404


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        ("Dock", {"data": "text", "type": "text", "text": "Dock"}),
        (31, {"data": "integer", "type": "numeric", "integer": 31}),
        (Decimal("0.10"), {"data": "decimal", "type": "numeric", "decimal": Decimal("0.10")}),
        (True, {"data": "boolean", "type": "checkbox", "boolean": True}),
        (["a", "b"], {"data": "strings", "type": "choose multiple", "strings": ["a", "b"]}),
        (datetime(2026, 1, 31, 8), {"data": "dateTime", "type": "date time", "dateTime": "2026-01-31T08:00:00"}),
        (None, {"data": "text", "type": "text"}),
        ({"a": 1}, {"type": "section", "fields": [{"name": "a", "data": "integer", "type": "numeric", "integer": 1}]}),
        ([{"a": None}], {"type": "table", "fields": [{"fields": [{"name": "a", "data": "text", "type": "text"}]}]}),
    ],
)
def test_a_python_value_becomes_a_raw_field(value: Any, raw: dict[str, Any]) -> None:
    assert doforms_field("question", value) == {"name": "question", **raw}
    assert doforms_field("question", value, "own")["type"] == "own"


async def test_numbers_keep_every_digit(doforms: Simulator, http: httpx.AsyncClient) -> None:
    doforms.put_record(FORM, "r1", {"amount": Decimal("12345678901234567.890123456789"), "zero": Decimal("0.10")})
    answer = (await http.get("submissions/r1")).content
    assert b'"decimal": 12345678901234567.890123456789' in answer
    assert b'"decimal": 0.10' in answer


async def test_a_listener_hears_of_everything(doforms: Simulator, target: Target, http: httpx.AsyncClient) -> None:
    heard: list[str] = []
    doforms.listen(lambda what, _: heard.append(what))
    target.script = [(503, b""), (200, b"")]
    sent = await doforms.create(FORM)
    await doforms.until(lambda: sent.belief == "received", timeout=2)
    await http.put(f"notifications/{sent.key}", json={"status": "failed"})
    assert heard == ["sent", "answered", "sent", "answered", "put"]


async def test_until_gives_up(doforms: Simulator) -> None:
    with pytest.raises(TimeoutError, match=r"within 0\.1 s"):
        await doforms.until(lambda: False, timeout=0.1)


async def test_mistakes_in_a_test_are_told(doforms: Simulator) -> None:
    with pytest.raises(KeyError, match="add it first"):
        await doforms.create("stranger")
    with pytest.raises(ValueError, match="not 'form'"):
        doforms.put_record(FORM, "r1", {}, kind="form")
    doforms.target = None
    with pytest.raises(RuntimeError, match="no target"):
        await doforms.create(FORM)
    with pytest.raises(RuntimeError, match="only inside"):
        await Simulator(target="http://127.0.0.1:1").post(b"")


async def test_scripts_drive_it_by_the_control_api(doforms: Simulator, target: Target) -> None:
    target.script = [COMPLETED]
    own = {"Authorization": "Bearer new$$1:pw"}
    async with httpx.AsyncClient(base_url=doforms.api.removesuffix("/api/v2")) as http:
        made = await http.post("/control/webservices", json={"id": "new$$1", "password": "pw", "form": "Claim"})
        assert made.status_code == 201
        assert "pw" not in made.text
        record = {"webservice": "new$$1", "key": "r0", "id": "i0", "fields": {"amount": 1.5}}
        assert (await http.post("/control/records", json=record)).json()["id"] == "i0"
        event = {"webservice": "new$$1", "event": "create", "key": "r1", "fields": {"site": "Dock"}}
        told = (await http.post("/control/events", json=event)).json()
        assert (told["status"], told["heard"], told["submissionKey"]) == ("completed", "answer", "r1")
        assert (await http.get("/control/notifications")).json() == [told]
        for key in ("r0", "r1"):
            assert (await http.get(f"/api/v2/submissions/{key}", headers=own)).status_code == 200
        for name in ("update", "delete", "status", "unheard-of"):
            sent = await http.post("/control/events", json={"webservice": "new$$1", "event": name, "key": "r1"})
            assert (sent.status_code, sent.json()["event"]) == (201, name)
        fault = {"method": "GET", "status": 429, "body": "slow", "times": None}
        assert (await http.post("/control/faults", json=fault)).status_code == 201
        assert (await http.get("/api/v2/submissions", headers=own)).text == "slow"
        assert (await http.delete("/control/faults")).status_code == 204
        assert (await http.get("/api/v2/submissions", headers=own)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("webservices", {"id": "w"}, "`password` is missing"),
        ("webservices", ["w"], "must be a JSON object"),
        ("records", {"webservice": "stranger", "key": "r", "fields": {}}, "add it first"),
        ("records", {"webservice": FORM, "key": "r", "fields": [1]}, "fields[0]"),
        ("events", {"webservice": FORM, "event": "update"}, "`key` is missing"),
        ("events", {"webservice": FORM, "event": "create", "feilds": {}}, "not known here: feilds"),
        ("events", {"webservice": FORM, "event": 1}, "`event` cannot be 1"),
        ("faults", {"times": 0}, "times is 0"),
        ("faults", {"status": 42}, "`status`"),
    ],
)
async def test_a_wrong_control_request_is_400_and_told(doforms: Simulator, path: str, body: Any, told: str) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{doforms.api.removesuffix('api/v2')}control/{path}", json=body)
    assert answer.status_code == 400
    assert told in answer.json()["error"]


def test_it_imports_nothing_of_the_gateway() -> None:
    allowed = {"starlette", "uvicorn", "httpx", "gateway"} | stdlib_module_names
    for file in Path(str(package.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith("gateway") or name.startswith("gateway.doforms.simulator"), (file, name)
                top = name.partition(".")[0]
                assert top in allowed, (file, name)
