"""Scripts drive the simulated doForms by its control API."""

from __future__ import annotations

import re
import shlex
from typing import Any

import httpx
import pytest

from gateway.doforms.simulator import Simulator
from tests.doforms.simulator.conftest import COMPLETED, FORM, Target
from tests.support.pages import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
        ("faults", {"name": "rest"}, "no fault named 'rest'"),
        ("conditions", {"lots": 1}, "not known here: lots"),
        ("conditions", {"quota": {"calls": "many"}}, "`calls` is 'many'"),
    ],
)
async def test_a_wrong_control_request_is_400_and_told(doforms: Simulator, path: str, body: Any, told: str) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{doforms.api.removesuffix('api/v2')}control/{path}", json=body)
    assert answer.status_code == 400
    assert told in answer.json()["error"]


async def test_scripts_change_the_conditions_and_order_faults_by_name(doforms: Simulator) -> None:
    async with httpx.AsyncClient(base_url=doforms.api.removesuffix("/api/v2")) as http:
        given = {"limit": {"a_minute": 60, "retry_after": "date"}, "lost": 0.25, "unreadable": None}
        told = (await http.post("/control/conditions", json=given)).json()
        assert (told["limit"]["a_minute"], told["limit"]["in_flight"], told["lost"], told["unreadable"]) == (
            60,
            4,
            0.25,
            None,
        )
        assert (await http.get("/control/conditions")).json() == told
        assert (await http.delete("/control/conditions")).status_code == 204
        assert (await http.get("/control/conditions")).json()["limit"] is None
        made = (await http.post("/control/faults", json={"name": "details-fail", "times": 1})).json()
        assert (made["status"], made["call"], made["times"]) == (500, "record", 1)
        assert (await http.get("/control/faults")).json() == [made]


async def test_every_command_of_its_page_can_be_given(doforms: Simulator) -> None:
    page = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = [shlex.split(block) for block in re.findall(r"^curl (?:[^']*?|.*?'.*?'\s+)http\S+$", page, re.M | re.S)]
    assert len(commands) == page.count("\ncurl ")
    async with httpx.AsyncClient(base_url=doforms.api.removesuffix("/api/v2")) as http:
        for _, *given, url in commands:
            options = dict(zip(given[::2], given[1::2], strict=True))
            method = options.get("-X", "POST" if "--json" in options else "GET")
            headers = {"Content-Type": "application/json"} if "--json" in options else {}
            answer = await http.request(method, httpx.URL(url).path, content=options.get("--json"), headers=headers)
            assert answer.is_success, (given, answer.text)
