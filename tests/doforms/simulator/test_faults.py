"""Faults on order: what the simulated doForms answers on a bad day."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from gateway.doforms.simulator import Faults, Simulator
from tests.doforms.simulator.conftest import FORM

pytestmark = pytest.mark.asyncio(loop_scope="module")


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


async def test_a_connection_is_reset(doforms: Simulator, http: httpx.AsyncClient) -> None:
    doforms.faults.add("reset", times=2)
    for _ in range(2):
        with pytest.raises(httpx.ReadError):
            await http.get("submissions")
    assert (await http.get("submissions")).status_code == 200
    assert [one.status for one in doforms.requests] == [None, None, 200]


async def test_an_answer_breaks_off_in_the_middle(doforms: Simulator, http: httpx.AsyncClient) -> None:
    doforms.put_record(FORM, "r1", {"site": "Dock"})
    whole = (await http.get("submissions/r1")).content
    doforms.faults.add("half")
    got = bytearray()
    with pytest.raises(httpx.RemoteProtocolError, match=f"expected {len(whole)}"):
        await _read(http, "submissions/r1", got)
    assert got == whole[: len(whole) // 2]


async def _read(http: httpx.AsyncClient, path: str, into: bytearray) -> None:
    async with http.stream("GET", path) as answer:
        async for chunk in answer.aiter_bytes():
            into += chunk


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("busy", 429, b""),
        ("unavailable", 503, b""),
        ("broken", 500, b"Web service error"),
        ("error-in-200", 200, b"Web service error"),
        ("empty", 200, b""),
        ("html", 200, b"<!DOCTYPE html>"),
        ("over-quota", 200, b"Over quota"),
    ],
)
async def test_a_named_fault_is_what_its_name_says(
    doforms: Simulator, http: httpx.AsyncClient, name: str, status: int, body: bytes
) -> None:
    doforms.put_record(FORM, "r1", {})
    doforms.faults.add(name)
    answer = await http.get("submissions/r1")
    assert answer.status_code == status
    assert body in answer.content
    assert bool(answer.content) is bool(body)


@pytest.mark.parametrize(("name", "status"), [("report-gone", 404), ("report-refused", 400), ("report-forbidden", 401)])
async def test_a_report_can_be_refused_while_reads_work(
    doforms: Simulator, http: httpx.AsyncClient, name: str, status: int
) -> None:
    sent = await doforms.create(FORM, key="r1")
    doforms.faults.add(name)
    assert (await http.get("submissions/r1")).status_code == 200
    assert (await http.put(f"notifications/{sent.key}", json={"status": "completed"})).status_code == status
    assert (await http.put(f"notifications/{sent.key}", json={"status": "completed"})).status_code == 200


async def test_details_fail_while_listings_work(doforms: Simulator, http: httpx.AsyncClient) -> None:
    doforms.put_record(FORM, "r1", {})
    doforms.faults.add("details-fail")
    assert [(await http.get(path)).status_code for path in ("submissions/r1", "submissions", "submissions/id-r1")] == [
        500,
        200,
        500,
    ]


async def test_listings_are_short_or_empty(doforms: Simulator, http: httpx.AsyncClient) -> None:
    for number in range(5):
        doforms.put_record(FORM, f"r{number}", {})
    doforms.faults.add("short-listing")
    doforms.faults.add("empty-listing")
    listings = [[one["key"] for one in (await http.get("submissions")).json()] for _ in range(3)]
    assert listings == [["r0", "r2", "r4"], [], ["r0", "r1", "r2", "r3", "r4"]]


async def test_another_record_is_given_in_place_of_the_one_asked_for(
    doforms: Simulator, http: httpx.AsyncClient
) -> None:
    doforms.put_record(FORM, "r1", {"site": "Dock"})
    doforms.faults.add("other-record", times=2)
    assert (await http.get("submissions/r1")).json()["key"] == "somebody-else"
    doforms.put_record(FORM, "r2", {"site": "Pier"})
    assert (await http.get("submissions/r1")).json()["key"] == "r2"
    assert (await http.get("submissions/r1")).json()["key"] == "r1"


async def test_a_share_of_the_requests_is_hit_the_same_each_time() -> None:
    hits = []
    for _ in range(2):
        faults = Faults()
        faults.add(times=None, share=0.25)
        hits.append([faults.take("GET", "/", "other") is not None for _ in range(400)])
    assert hits[0] == hits[1]
    assert 60 < sum(hits[0]) < 140


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": "reste"}, "no fault named 'reste'"),
        ({"call": "lists"}, "`call` is 'lists'"),
        ({"share": 0}, "`share` is 0"),
        ({"instead": "boom"}, "`instead` is 'boom'"),
    ],
)
async def test_a_wrong_fault_is_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Faults().add(**given)
