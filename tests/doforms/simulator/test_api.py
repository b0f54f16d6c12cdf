"""The REST API of the simulated doForms."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from gateway.doforms.simulator import Simulator
from tests.doforms.simulator.conftest import FORM, OTHER, OTHER_TOKEN, Target

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
