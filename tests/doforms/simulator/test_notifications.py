"""How the simulated doForms sends notifications and reads what comes back."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from gateway.doforms.simulator import Simulator
from gateway.doforms.simulator.server import serve
from tests.doforms.simulator.conftest import COMPLETED, FORM, SILENCE, Target

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
